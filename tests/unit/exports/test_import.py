"""`xmppgw import-legacy` on the exports of a small deployment, in every form and encoding; and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.exports.powershell import (
    DEPLOYMENT,
    ENCODINGS,
    NOT_SUPPORTED,
    clixml_of,
    csv_of,
    encoded,
    json_of,
    partner,
)

from xmppgw.cli.program import main
from xmppgw.federation import Severity, examine_document

PARTNERS = "Get-CsXmppAllowedPartner"


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    status = main(["import-legacy", *arguments, "--format", "json"])
    return status, json.loads(capsys.readouterr().out)


def imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], Any]:
    output = folder / "federation.yml"
    status, result = run([str(folder), "--output", str(output)], capsys)
    assert status == 0, result
    document: dict[str, Any] = yaml.safe_load(output.read_text())["federation"]
    return document, result


def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    output = folder / "federation.yml"
    status, problems = run([str(folder), "--output", str(output)], capsys)
    assert status == 2, problems
    assert not output.exists()
    assert not [each for each in folder.iterdir() if each.name.startswith(".")]
    assert all(each["hint"] and each["message"] for each in problems)
    found: list[dict[str, Any]] = problems
    return found


def put(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def in_form(cmdlet: str, form: str) -> tuple[str, str]:
    objects = DEPLOYMENT[cmdlet]
    match form:
        case "csv":
            return "csv", csv_of(cmdlet, objects)
        case "csv-untyped":
            return "csv", csv_of(cmdlet, objects, typed=False, delimiter=";", ends="\n")
        case "json":
            return "json", json_of(objects)
        case "json-5.1":
            return "json", json_of(objects, style="5.1")
        case "deserialized":
            return "xml", clixml_of(cmdlet, objects, prefix="Deserialized.")
    return "xml", clixml_of(cmdlet, objects, prefix="Selected." if form == "selected" else "")


def write_all(folder: Path, form: str, encoding: str = "utf-8") -> None:
    for number, cmdlet in enumerate(DEPLOYMENT):
        suffix, text = in_form(cmdlet, form)
        # Names say nothing: what a file holds is told by its content.
        put(folder, f"export{number}.{suffix}", encoded(text, encoding))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", ["csv", "csv-untyped", "json", "json-5.1", "clixml", "deserialized", "selected"])
def test_every_form_in_every_encoding_comes_to_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, encoding: str
) -> None:
    write_all(tmp_path, form, encoding)
    document, result = imported(tmp_path, capsys)
    lists_kept = not form.startswith("csv")
    first, second, third = sorted(document["partners"], key=lambda each: str(each["domain"]) != "partner1.example")[:3]
    assert first["domain"] == "partner1.example"
    assert first.get("additional_domains") == (["chat.partner1.example", "partner1.net"] if lists_kept else None)
    assert (first["type"], first["tls"], first["sasl"], first["dialback"]) == (
        "federated",
        "required",
        "optional",
        True,
    )
    assert first["connection_limit"] == 30, "the gateway's limit, where the partner has none"
    google, other = sorted((second, third), key=lambda each: str(each["domain"]))
    assert (google["preset"], google["tls"], google["keep_alive"]) == ("google_talk", "not_supported", False)
    assert other["description"] == 'Line one\r\nline "two"; äöü 🎉'
    assert other["servers"] == [{"host": "xmpp.partner2.example"}]
    assert (other["connection_limit"], other["type"]) == (7, "public_unverified")
    assert document["sip_domains"] == [{"name": "corp.example"}, {"name": "branch.example"}]
    policies = document["access_policies"]
    assert policies["global"] == {"enable_federation_access": True, "enable_xmpp_access": False}
    assert [each["name"] for each in policies["sites"] + policies["users"]] == ["Redmond", "FedPic"]
    assert document["legacy"]["allow_federated_users"] is True
    if lists_kept:
        assert document["legacy"]["pool"] == "pool.corp.example"
        assert document["legacy"]["survivable_branch_pools"] == ["sba1.corp.example"]
    codes = {(each["code"], each["column"]) for each in result["not_carried"]}
    assert ("lost-secret", "DialbackPassphrase") in codes
    assert ("lost-obsolete", "") in codes
    assert (("lost-flattened", "AdditionalDomains") in codes) is not lists_kept
    assert (("lost-number", "TlsNegotiation") in codes) is form.startswith("json")
    assert "hunter2" not in (tmp_path / "federation.yml").read_text() + json.dumps(result)


def test_the_document_is_refused_by_the_names_of_its_gaps_and_by_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all(tmp_path, "clixml")
    _, result = imported(tmp_path, capsys)
    problems = examine_document(tmp_path / "federation.yml").problems
    errors = {each.path for each in problems if each.severity is not Severity.WARNING}
    assert errors == {each["path"] for each in result["gaps"]}
    assert len(errors) >= 15
    assert result["refused_by_check"] == []


def test_a_document_whose_gaps_are_filled_in_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(tmp_path, "clixml")
    document, result = imported(tmp_path, capsys)
    values = {
        "federation.legacy.product": "lync2013", "federation.target.product": "lync2013",
        "federation.legacy.gateway.fqdn": "edge.corp.example", "federation.legacy.gateway.host": "legacy1",
        "federation.target.pool": "pool.corp.example", "federation.pools[0].front_ends[0].host": "fe1",
        "federation.edges[0].host": "edge1", "federation.sip.next_hop.fqdn": "pool.corp.example",
        "federation.sip.peers[0].fqdn": "pool.corp.example", "federation.certificates.public.issuer": "import",
        "federation.certificates.internal.authority": "private", "federation.dns.zones[0]": "corp.example",
    }  # fmt: skip
    for address, gap in enumerate(result["gaps"], 1):
        path, at = gap["path"], {"federation": document}
        *parents, last = path.replace("[", ".[").split(".")
        for part in parents:
            at = at[int(part.strip("[]"))] if part.startswith("[") else at[part]  # type: ignore[index]
        name = any(word in path for word in ("addresses", "resolvers", "authoritative"))
        value = values.get(path) or (f"198.51.100.{address}" if name else f"h{address}.corp.example")
        at[int(last.strip("[]")) if last.startswith("[") else last] = value  # type: ignore[index]
    document["certificates"]["public"]["authority"] = "public"
    document["dns"]["zones"].append("branch.example")
    filled = put(tmp_path, "filled.yml", yaml.safe_dump({"federation": document}))
    problems = [str(each) for each in examine_document(filled).problems if each.severity is Severity.ERROR]
    assert problems == []


def test_two_forms_of_one_export_count_once_and_complete_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all(tmp_path, "csv")
    for number, cmdlet in enumerate(DEPLOYMENT):
        put(tmp_path, f"again{number}.xml", clixml_of(cmdlet, DEPLOYMENT[cmdlet]))
    document, result = imported(tmp_path, capsys)
    assert len(document["partners"]) == 3
    assert result["carried"]["users_counted"] == 3
    assert any(each.get("additional_domains") for each in document["partners"])


def test_defaults_are_the_platforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "p.csv", '"Domain","PartnerType"\r\n"partner1.example",""\r\n')
    document, result = imported(tmp_path, capsys)
    (only,) = document["partners"]
    assert (only["type"], only["tls"], only["sasl"], only["dialback"]) == (
        "public_unverified",
        "required",
        "required",
        True,
    )
    missing = {each["column"] for each in result["not_carried"] if each["code"] == "lost-column"}
    assert missing >= {"AdditionalDomains", "TlsNegotiation", "SaslNegotiation", "SupportDialbackNegotiation"}
    assert document["access_policies"]["global"] == {"enable_federation_access": False, "enable_xmpp_access": False}


def test_settings_that_leave_no_way_are_marked_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = partner("partner1.example", TlsNegotiation=NOT_SUPPORTED, SupportDialbackNegotiation=False)
    put(tmp_path, "p.xml", clixml_of(PARTNERS, [broken]))
    _, result = imported(tmp_path, capsys)
    assert "federation.partners[0]" in {each["path"] for each in result["gaps"]}
    assert "# FILL IN" in (tmp_path / "federation.yml").read_text()


PLAIN = """\
Record;Name;AdditionalDomains;Type;Tls;Sasl;Dialback;Pool;Policy;Federation;Xmpp;Addresses;Site
product;ocs2007r2;;;;;;;;;;;
gateway;xmpp.corp.example;;;;;;;;;;198.51.100.5 2001:db8::5;
sip-domain;corp.example;;;;;;;;;;;
pool;pool.corp.example;;;;;;;;;;;Redmond
pool;sba.corp.example;;branch;;;;;;;;;Berlin
partner;partner1.example;"chat.partner1.example x.example";Federated;Optional;NotSupported;True;;;;;;
partner;partner2.example;;;;;;;;;;;
policy;Global;;;;;;;;True;True;;
user;sip:alice@corp.example;;;;;;pool.corp.example;;;;;
"""


def test_the_plain_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "ocs.csv", PLAIN)
    document, _ = imported(tmp_path, capsys)
    legacy = document["legacy"]
    assert (legacy["product"], legacy["pool"]) == ("ocs2007r2", "pool.corp.example")
    assert legacy["gateway"]["fqdn"] == "xmpp.corp.example"
    assert legacy["gateway"]["addresses"] == ["198.51.100.5", "2001:db8::5"]
    assert legacy["survivable_branch_pools"] == ["sba.corp.example"]
    first, second = document["partners"]
    assert first["additional_domains"] == ["chat.partner1.example", "x.example"]
    assert (first["tls"], first["sasl"]) == ("optional", "not_supported")
    assert (second["type"], second["tls"], second["sasl"]) == ("public_unverified", "required", "required")


def test_the_plain_form_beside_exports_is_two_deployments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "ocs.csv", PLAIN)
    put(tmp_path, "p.xml", clixml_of(PARTNERS, [partner("partner3.example")]))
    assert {each["code"] for each in refused(tmp_path, capsys)} == {"export-mixed"}


BOMB = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
GOOD = clixml_of(PARTNERS, DEPLOYMENT[PARTNERS])
GOOD_JSON = json_of(DEPLOYMENT[PARTNERS])
GOOD_CSV = csv_of(PARTNERS, DEPLOYMENT[PARTNERS])


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.xml", GOOD[: len(GOOD) // 2], "export-cut-off"),
        ("a.xml", GOOD[:-3], "export-cut-off"),
        ("a.xml", BOMB + GOOD, "export-xml"),
        ("a.xml", '<!DOCTYPE l SYSTEM "http://192.0.2.1/x">' + GOOD, "export-xml"),
        ("a.xml", '<?xml-stylesheet href="x"?>' + GOOD, "export-xml"),
        ("a.xml", GOOD.replace("partner1.example", "&b;"), "export-clixml"),
        ("a.xml", "<Objs>" + "<Obj><LST>" * 5_000, "export-too-large"),
        ("a.xml", "<html><body/></html>", "export-clixml"),
        ("a.xml", GOOD.replace("<B N=", "<Q N=").replace("</B>", "</Q>"), "export-clixml"),
        ("a.xml", GOOD.replace(">true<", ">maybe<"), "export-clixml"),
        ("a.xml", GOOD.replace("Line one", "_xD800_"), "export-clixml"),
        ("a.xml", GOOD + GOOD, "export-clixml"),
        ("a.json", GOOD_JSON[: len(GOOD_JSON) // 2], "export-cut-off"),
        ("a.json", GOOD_JSON[:-1], "export-cut-off"),
        ("a.json", GOOD_JSON.replace(",", ",,", 1), "export-json"),
        ("a.json", "[1, 2]", "export-json"),
        ("a.json", "[" * 100_000, "export-json"),
        ("a.json", '{"value": [{"Domain": "a.example", "PartnerType": 1}], "Count": 2}', "export-json"),
        ("a.json", '[{"Domain": "a.example", "Domain": "b.example"}]', "export-json"),
        ("a.csv", GOOD_CSV[: GOOD_CSV.index("line ")], "export-cut-off"),
        ("a.csv", GOOD_CSV[: GOOD_CSV.rindex(',"')], "export-cut-off"),
        ("a.csv", '"Domain","PartnerType"\r\n"a.example"\r\n"b.example","Federated"\r\n', "export-csv"),
        ("a.csv", '"Domain","domain","PartnerType"\r\n', "export-csv"),
        ("a.csv", '"Colour","Size"\r\n"red","2"\r\n', "export-unknown"),
        ("a.csv", "", "export-empty"),
        ("a.csv", b"\xff\xfe", "export-empty"),
        ("a.csv", "   \r\n", "export-empty"),
        ("a.csv", b"PK\x03\x04rest", "export-binary"),
        ("a.csv", GOOD_CSV.replace("Line", "\x07Line"), "export-binary"),
        ("a.csv", b"\x00\x01\x02\x03", "export-binary"),
        ("a.csv", GOOD_CSV.encode("cp1252", "replace"), "export-encoding"),
        ("a.csv", GOOD_CSV.encode("utf-32"), "export-encoding"),
        ("a.csv", encoded(GOOD_CSV, "utf-16")[:-1], "export-cut-off"),
        ("a.txt", "Dear colleague, here are the partners.\n", "export-unknown"),
        ("a.json", "[]", "export-unknown"),
        ("a.csv", GOOD_CSV.replace("Required", "Sometimes"), "export-value"),
        ("a.csv", GOOD_CSV.replace('"True"', '"Perhaps"'), "export-value"),
        ("a.csv", GOOD_CSV.replace("partner1.example", " partner1.example "), "export-value"),
        ("a.csv", GOOD_CSV.replace("partner1.example", "not a name"), "export-value"),
        ("a.csv", GOOD_CSV.replace('"7"', '"-7"'), "export-value"),
        ("a.json", GOOD_JSON.replace('"Domain": "partner1.example"', '"Domain": "@{a=b}"'), "export-value"),
        ("a.csv", GOOD_CSV.replace("partner2.example", "partner1.example"), "export-duplicate"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_its_code_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | bytes, code: str
) -> None:
    put(tmp_path, name, content)
    assert code in {each["code"] for each in refused(tmp_path, capsys)}


def test_the_problems_of_all_files_are_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "a.xml", GOOD[:-3])
    put(tmp_path, "b.json", "[1]")
    put(tmp_path, "c.csv", "x")
    assert len({each["file"] for each in refused(tmp_path, capsys)}) == 3


def test_two_exports_that_differ_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "a.xml", GOOD)
    put(tmp_path, "b.json", json_of([partner("partner1.example", TlsNegotiation=NOT_SUPPORTED)]))
    (problem,) = refused(tmp_path, capsys)
    assert problem["code"] == "export-conflict"
    assert "a.xml" in problem["message"]


def test_users_of_another_deployment_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(tmp_path, "clixml")
    stranger = {
        **DEPLOYMENT["Get-CsUser"][0],
        "SipAddress": "sip:eve@other.example",
        "RegistrarPool": "pool.other.example",
    }
    put(tmp_path, "z.json", json_of([stranger]))
    assert [each["code"] for each in refused(tmp_path, capsys)] == ["export-mixed", "export-mixed"]


def test_a_changed_file_is_noticed_by_the_list_of_hashes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(tmp_path, "clixml")
    sums = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}" for each in sorted(tmp_path.iterdir())]
    put(tmp_path, "SHA256SUMS", "\r\n".join(sums))
    imported(tmp_path, capsys)
    (tmp_path / "federation.yml").unlink()
    put(tmp_path, "export0.xml", GOOD.replace("Optional", "Required"))
    (problem,) = refused(tmp_path, capsys)
    assert (problem["code"], Path(problem["file"]).name) == ("export-hash", "export0.xml")


def test_the_output_is_never_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = put(tmp_path, "a.xml", GOOD)
    output = put(tmp_path, "federation.yml", "mine")
    status, (problem,) = run([str(export), "--output", str(output)], capsys)
    assert (status, problem["code"], output.read_text()) == (2, "output-exists", "mine")
    assert run([str(export), "--output", str(output), "--force"], capsys)[0] == 0
    assert output.read_text() != "mine"
    status, (problem,) = run([str(export), "--output", str(export), "--force"], capsys)
    assert (status, export.read_text()) == (2, GOOD)
    status, (problem,) = run([str(export), "--output", str(tmp_path / "none/x.yml")], capsys)
    assert (status, problem["code"]) == (2, "output-unwritable")


def test_a_pipe_or_a_missing_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    arguments = [str(tmp_path / "pipe.csv"), str(tmp_path / "none.csv"), "--output", str(tmp_path / "x.yml")]
    status, problems = run(arguments, capsys)
    assert status == 2
    assert [each["code"] for each in problems] == ["export-not-regular", "export-missing"]


def test_an_empty_list_is_told_by_its_file_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(tmp_path, "clixml")
    put(tmp_path, "Get-CsAllowedDomain.json", "[]")
    _, result = imported(tmp_path, capsys)
    (read,) = [each for each in result["read"] if each["file"].endswith("Get-CsAllowedDomain.json")]
    assert read["objects"] == {"Get-CsAllowedDomain": 0}


def test_only_users_make_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "u.json", json_of(DEPLOYMENT["Get-CsUser"]))
    assert [each["code"] for each in refused(tmp_path, capsys)] == ["export-nothing"]


def test_the_text_names_what_was_read_what_is_missing_and_what_was_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all(tmp_path, "csv")
    assert main(["import-legacy", str(tmp_path), "--output", str(tmp_path / "federation.yml")]) == 0
    text = capsys.readouterr().out
    for word in ("utf-8", "3 of Get-CsXmppAllowedPartner", "federation.target.pool", "lost-flattened", "lost-secret"):
        assert word in text, text


def test_the_script_reads_only_and_names_every_cmdlet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-legacy", "--script"]) == 0
    script = capsys.readouterr().out
    verbs = {line.strip().split("'")[1] for line in script.splitlines() if line.startswith("Export-One '")}
    assert verbs == set(DEPLOYMENT)
    for forbidden in (
        "Set-Cs",
        "Remove-Cs",
        "New-Cs",
        "Grant-Cs",
        "Enable-Cs",
        "Invoke-Expression",
        "DialbackPassphrase",
    ):
        assert forbidden not in script
    for needed in ("Export-Clixml", "-Depth 6", "ConvertTo-Json", "SHA256SUMS", "Set-StrictMode"):
        assert needed in script
    assert "Get-FileHash" not in script, "PowerShell 3.0 has none"


def test_the_verb_wants_paths_and_an_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["import-legacy"])
    assert stop.value.code == 2
    assert "--output" in capsys.readouterr().err
