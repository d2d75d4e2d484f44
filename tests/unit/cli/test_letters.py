"""`xmppgw partner`: what a letter must say, what it must not let through, and which files cannot stand in it."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.federation.documents import SMALL, SMALL_FILE, changed, examine
from tests.unit.tls.zoo import DAY, NOW, SERVER, Authority, certificate_pem, dns, key_pem

from xmppgw.cli import main
from xmppgw.cli.letters import letter_as_text, prose
from xmppgw.federation.letter import partner_letter

Capture = pytest.CaptureFixture[str]
FORMS = ("text", "markdown")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Issuing CA", Authority("Root CA"))


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def letter(capsys: Capture, *arguments: str, document: Path = SMALL_FILE) -> tuple[int, str, str]:
    status = main(["partner", "letter", *arguments, "--document", str(document)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.parametrize("form", FORMS)
def test_a_letter_says_what_has_to_change(form: str, capsys: Capture) -> None:
    status, out, err = letter(capsys, "partner1.example", "--format", form)
    assert (status, err) == (0, "")
    for part in (
        *("198.51.100.10", "2001:db8:2::10", "5269", "edge1.corp.example"),  # in and out, both families
        *("10 10 5269 legacy1.corp.example.", "10 10 5269 edge1.corp.example."),  # the record, now and then
        *("legacy1.corp.example", "198.51.100.5", "2001:db8:2::5"),  # what to remove
        "not issued yet",
        "not fixed yet",
        "SASL EXTERNAL",
        "openssl s_client",
        "Answer to whoever sent you this.",
    ):
        assert part in out, f"{part!r} is not in\n{out}"


@pytest.mark.parametrize("form", FORMS)
def test_a_letter_names_window_contact_and_chain(
    form: str, tmp_path: Path, capsys: Capture, authority: Authority
) -> None:
    text = changed(
        (
            "  legacy:",
            "  contact: {name: Ann Ops, email: xmpp@corp.example, telephone: '+49 30 1'}\n"
            "  maintenance_window: {start: '2026-12-05T22:00:00+01:00', end: '2026-12-06T02:00:00+01:00'}\n  legacy:",
        ),
        ("{domain: partner1.example,", "{domain: partner1.example, contact: {name: Bob, email: b@partner1.example},"),
    )
    chain = authority.issue(
        dns("edge1.corp.example", "corp.example"), usages=[SERVER], common_name="edge1.corp.example"
    )
    document = write(tmp_path, "federation.yml", text)
    file = write(tmp_path, "public.crt", certificate_pem(chain))
    arguments = ("partner1.example", "--format", form, "--certificate", str(file))
    status, out, _ = letter(capsys, *arguments, document=document)
    assert status == 0
    for part in ("Ann Ops", "xmpp@corp.example", "2026-12-05T22:00:00+01:00", "2026-12-06T02:00:00+01:00", "Bob"):
        assert part in out
    assert "not issued yet" not in out
    assert len(re.findall(r"SHA-256 `?([0-9A-F]{2}:){31}[0-9A-F]{2}", out)) == 2
    assert "Issuing CA" in out
    assert "Root CA" in out


def test_a_letter_as_json(tmp_path: Path, capsys: Capture, authority: Authority) -> None:
    chain = authority.issue(dns("edge1.corp.example", "corp.example"), common_name="edge1.corp.example")
    file = write(tmp_path, "public.crt", certificate_pem(chain))
    status, out, _ = letter(capsys, "partner2.example", "--format", "json", "--certificate", str(file))
    found = json.loads(out)
    assert status == 0
    assert set(found) == {
        *("schema", "partner", "our_domains", "inbound", "outbound", "records", "certificate", "allowed", "remove"),
        *("window", "tests", "contact", "problems"),
    }
    assert found["inbound"][0]["ipv6"] == ["2001:db8:2::10"]
    assert found["allowed"] == ["S", "T"]
    (edge,) = found["certificate"]["edges"]
    assert (edge["edge"], edge["issued"], len(edge["chain"])) == ("edge1.corp.example", True, 2)
    assert found["remove"]["name"] == "legacy1.corp.example"


def test_addresses_behind_translation_are_the_ones_that_partners_see(tmp_path: Path, capsys: Capture) -> None:
    text = changed(("      internal_fqdn: edge1", "      public_addresses: [203.0.113.77]\n      internal_fqdn: edge1"))
    document = write(tmp_path, "federation.yml", text)
    _, out, _ = letter(capsys, "partner1.example", "--format", "json", document=document)
    found = json.loads(out)
    for places in (found["inbound"], found["outbound"]):
        assert [(place["ipv4"], place["ipv6"]) for place in places] == [(["203.0.113.77"], [])]


def test_an_additional_domain_finds_its_partner(tmp_path: Path, capsys: Capture) -> None:
    text = changed(("{domain: partner2.example,", "{domain: partner2.example, additional_domains: [p2.example],"))
    document = write(tmp_path, "federation.yml", text)
    for written in ("p2.example", "P2.EXAMPLE"):
        status, out, _ = letter(capsys, written, document=document)
        assert (status, out.splitlines()[0]) == (0, "Our XMPP federation moves: what changes for partner2.example")


@pytest.mark.parametrize("written", ["partner3.example", "", "*", "a b", "partner1.example."])
def test_an_unknown_partner_gets_no_letter(written: str, capsys: Capture) -> None:
    status, out, err = letter(capsys, written)
    assert (status, out) == (2, "")
    assert "error [letter-partner] " in err


def test_in_coexistence_only_our_domains_are_in_the_letter(tmp_path: Path, capsys: Capture) -> None:
    text = changed(
        ("scenario: replace", "scenario: coexist"),
        ("    - name: corp.example\n", "    - name: corp.example\n    - {name: old.corp.example, owner: legacy}\n"),
    )
    status, out, _ = letter(capsys, "partner1.example", document=write(tmp_path, "federation.yml", text))
    assert status == 0
    assert "corp.example" in out
    assert "old.corp.example" not in out


class TestCertificateFiles:
    def refused(self, capsys: Capture, path: Path) -> str:
        status, out, err = letter(capsys, "partner1.example", "--certificate", str(path))
        assert (status, out) == (2, "")
        assert f"error [letter-certificate] {path}: " in err
        return err

    def test_a_missing_file(self, tmp_path: Path, capsys: Capture) -> None:
        assert "No such file" in self.refused(capsys, tmp_path / "none.crt")

    def test_a_directory(self, tmp_path: Path, capsys: Capture) -> None:
        assert "directory" in self.refused(capsys, tmp_path)

    @pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    def test_no_certificate(self, data: bytes, tmp_path: Path, capsys: Capture) -> None:
        assert "no PEM certificates" in self.refused(capsys, write(tmp_path, "x.crt", data))

    def test_a_large_file(self, tmp_path: Path, capsys: Capture) -> None:
        assert "larger than" in self.refused(capsys, write(tmp_path, "x.crt", b"#" * 300_000))

    def test_a_private_key(self, tmp_path: Path, capsys: Capture, authority: Authority) -> None:
        chain = authority.issue(dns("edge1.corp.example", "corp.example"))
        found = self.refused(capsys, write(tmp_path, "x.crt", certificate_pem(chain) + key_pem(chain)))
        assert "private key" in found

    def test_somebody_elses_certificate(self, tmp_path: Path, capsys: Capture, authority: Authority) -> None:
        file = write(tmp_path, "x.crt", certificate_pem(authority.issue(dns("www.corp.example", "corp.example"))))
        assert "external name of an edge: edge1.corp.example" in self.refused(capsys, file)

    def test_a_certificate_without_our_domain(self, tmp_path: Path, capsys: Capture, authority: Authority) -> None:
        file = write(tmp_path, "x.crt", certificate_pem(authority.issue(dns("edge1.corp.example"))))
        assert "does not name corp.example" in self.refused(capsys, file)

    def test_an_expired_certificate(self, tmp_path: Path, capsys: Capture, authority: Authority) -> None:
        chain = authority.issue(dns("edge1.corp.example", "corp.example"), end=NOW - DAY)
        assert "valid only from" in self.refused(capsys, write(tmp_path, "x.crt", certificate_pem(chain)))

    def test_a_chain_out_of_order(self, tmp_path: Path, capsys: Capture, authority: Authority) -> None:
        chain = authority.issue(dns("edge1.corp.example", "corp.example"))
        file = write(tmp_path, "x.crt", certificate_pem(chain) + Authority("Stranger").pem)
        assert "is not issued by CN=Stranger" in self.refused(capsys, file)


def test_a_bad_document_is_refused_before_the_letter(tmp_path: Path, capsys: Capture) -> None:
    document = write(tmp_path, "federation.yml", "federation: []\n")
    for verb in (["list"], ["letter", "partner1.example"]):
        assert main(["partner", *verb, "--document", str(document), "--format", "json"]) == 2
        assert [problem["code"] for problem in json.loads(capsys.readouterr().out)] == ["wrong-type"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60))
@example("](http://evil.example) <script> **x** `y` | # ~~")
def test_a_text_of_others_means_nothing_to_markdown(text: str) -> None:
    written = prose(text)
    # Each character that could mean something stands behind a backslash, and nothing starts a line of its own.
    assert re.fullmatch(r"(\\[\\`*_{}\[\]<>#|~&!]|[^\\`*_{}\[\]<>#|~&!\n\r])*", written)
    assert re.sub(r"\\(.)", r"\1", written) == " ".join(text.split())


@pytest.mark.parametrize("form", FORMS)
def test_a_contact_cannot_break_out_of_its_line(form: str) -> None:
    name = "](https://evil.example) | `rm` <b>"
    text = changed(("  legacy:", f"  contact: {{name: '{name}', email: a@corp.example}}\n  legacy:"))
    printed = letter_as_text(partner_letter(examine(text).require(), "partner1.example"), form)
    if form == "text":
        assert name in printed
    else:
        assert name not in printed
        assert prose(name) in printed


def test_the_openssl_command_names_both_domains_to_the_edge() -> None:
    """An edge has to know from whom and to whom a connection is; openssl has no option for the former."""
    sent: list[bytes] = []
    found = partner_letter(examine(SMALL).require(), "partner1.example")
    command = next(check.command for check in found.checks if check.command.startswith("openssl"))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            sent.append(connection.recv(4096))
            connection.close()

        listener = threading.Thread(target=listen)
        listener.start()
        here = f"127.0.0.1:{server.getsockname()[1]}"
        words = shlex.split(command.replace("edge1.corp.example:5269", here).replace("</dev/null", ""))
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        listener.join(30)
    assert re.search(rb"<stream:stream[^>]* to='corp\.example' from='partner1\.example'", sent[0]), sent


class TestList:
    def test_as_text(self, capsys: Capture) -> None:
        assert main(["partner", "list", "--document", str(SMALL_FILE)]) == 0
        header, _, *rows = capsys.readouterr().out.splitlines()
        assert header.split()[0] == "domain"
        assert [row.split()[0] for row in rows] == ["partner1.example", "partner2.example"]

    def test_as_json(self, tmp_path: Path, capsys: Capture) -> None:
        ejabberd = "{domain: partner2.example, group: canary, software: ejabberd, version: '23.01',"
        document = write(tmp_path, "federation.yml", changed(("{domain: partner2.example,", ejabberd)))
        assert main(["partner", "list", "--document", str(document), "--format", "json"]) == 0
        second = json.loads(capsys.readouterr().out)[1]
        assert (second["group"], second["allowed"]) == ("canary", ["S", "T"])
        assert second["support"] == {"basis": "tested by us", "line": "ejabberd 23.01: tested by us"}

    def test_nobody(self, tmp_path: Path, capsys: Capture) -> None:
        start, end = SMALL.index("  partners:\n"), SMALL.index("  access_policies:\n")
        document = write(tmp_path, "federation.yml", SMALL[:start] + SMALL[end:])
        assert main(["partner", "list", "--document", str(document)]) == 0
        assert capsys.readouterr().out == "no partners\n"
