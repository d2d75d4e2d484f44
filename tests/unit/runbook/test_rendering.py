"""The rendered runbook: every script is one that PowerShell reads as meant, whatever the document says."""

import re
from pathlib import Path

import pytest
import yaml
from tests.unit.runbook.powershell import tokens

from xmppgw.cli import runbook
from xmppgw.federation import load_document
from xmppgw.federation.model import Product
from xmppgw.runbook.products import PRODUCTS
from xmppgw.runbook.quoting import QuotingProblem
from xmppgw.runbook.rendering import (
    PARTS,
    Attachment,
    Move,
    RunbookProblem,
    drain_script,
    native_script,
    render,
    route_script,
    wave_script,
)

SMALL = Path(__file__).parents[1] / "federation" / "small.yml"
DOCS = Path(__file__).parents[3] / "docs" / "runbook.md"
MARKER = "Remove-Everything"
HOSTILE = f"it's \u2019; {MARKER}; \u2018 $(x) `\"#"

# Every cmdlet of the platform that a script may call, with the parameters that its documentation has.
KNOWN = {
    "Get-CsAccessEdgeConfiguration": set(),
    "Set-CsAccessEdgeConfiguration": {"AllowFederatedUsers", "KeepCrlsUpToDateForPeers"},
    "Get-CsAllowedDomain": set(),
    "New-CsAllowedDomain": {"Identity", "ProxyFqdn"},
    "Remove-CsAllowedDomain": {"Identity"},
    "Get-CsExternalAccessPolicy": set(),
    "New-CsExternalAccessPolicy": {"Identity"},
    "Set-CsExternalAccessPolicy": {"Identity"},
    "Remove-CsExternalAccessPolicy": {"Identity", "Force"},
    "Get-CsManagementStoreReplicationStatus": set(),
    "Get-CsPool": {"Identity"},
    "Get-CsSite": {"Identity"},
    "Get-CsStaticRoutingConfiguration": {"Identity"},
    "Set-CsStaticRoutingConfiguration": {"Identity", "Route"},
    "New-CsStaticRoute": {"TLSRoute", "Destination", "Port", "MatchUri", "UseDefaultCertificate"},
    "Get-CsTrustedApplication": set(),
    "New-CsTrustedApplication": {"ApplicationId", "TrustedApplicationPoolFqdn", "Port", "Force"},
    "Get-CsTrustedApplicationComputer": set(),
    "New-CsTrustedApplicationComputer": {"Identity", "Pool", "Force"},
    "Get-CsTrustedApplicationPool": set(),
    "New-CsTrustedApplicationPool": {
        *("Identity", "ComputerFqdn", "Registrar", "Site", "RequiresReplication", "ThrottleAsServer"),
        *("TreatAsAuthenticated", "OutboundOnly", "Force"),
    },
    "Remove-CsTrustedApplicationPool": {"Identity", "Force"},
    "Enable-CsTopology": set(),
    "Get-CsUser": {"Identity"},
    "Move-CsUser": {"Identity", "Target", "Confirm"},
    "Move-CsLegacyUser": {"Identity", "Target", "Confirm"},
    "Export-CsUserData": {"PoolFqdn", "FileName", "UserFilter"},
    "Get-CsXmppAllowedPartner": set(),
    "New-CsXmppAllowedPartner": {
        *("Identity", "PartnerType", "TlsNegotiation", "SaslNegotiation"),
        *("SupportDialbackNegotiation", "EnableKeepAlive"),
        *("AdditionalDomains", "ConnectionLimit", "Description", "ProxyFqdn"),
    },
    "Remove-CsXmppAllowedPartner": {"Identity"},
}


def changed(**federation):
    """The small document with keys of its federation replaced."""
    content = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    content["federation"]["pilot"] = {"users": ["alice@corp.example"], "partner": "partner1.example"}
    content["federation"].update(federation)
    return content


@pytest.fixture
def document(tmp_path):
    def make(content):
        path = tmp_path / "federation.yml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_document(path)

    return make


def with_products(legacy, target):
    content = changed()
    content["federation"]["legacy"]["product"] = legacy
    content["federation"]["target"]["product"] = target
    return content


COMBINATIONS = [
    *(("ocs2007r2", "lync2013"), ("lync2010", "lync2013"), ("lync2013", "lync2013"), ("lync2013", "sfb2019")),
    *(("sfb2015", "sfb2019"), ("sfb2015", "sfbse"), ("ocs2007r2", "ocs2007r2")),
]


@pytest.mark.parametrize(("legacy", "target"), COMBINATIONS)
@pytest.mark.parametrize("attachment", list(Attachment))
def test_every_script_of_every_product_is_read_as_meant_and_calls_what_is_documented(
    document, legacy, target, attachment
):
    files = render(document(with_products(legacy, target)), "federation.yml", attachment=attachment)
    scripts = {name: content.decode() for name, content in files.items() if name.endswith(".ps1")}
    assert scripts
    for name, script in scripts.items():
        assert script.startswith("\ufeff# "), name
        assert "\n" not in script.replace("\r\n", ""), name
        code = "".join(token.value if token.kind == "code" else "'" for token in tokens(script))
        for opening, closing in ("()", "{}", "[]"):
            assert code.count(opening) == code.count(closing), f"{name}: {opening}{closing}"
        for cmdlet, arguments in re.findall(r"\b([A-Z][a-z]+-Cs[A-Za-z]+)([^|\r\n;}]*)", code):
            assert cmdlet in KNOWN, f"{name}: {cmdlet}"
            used = set(re.findall(r"(?<=\s)-([A-Z][A-Za-z]+)\b", arguments)) - {"ErrorAction"}
            operators = {"and", "eq", "ne"}
            assert used - operators <= KNOWN[cmdlet], f"{name}: {cmdlet} {sorted(used - KNOWN[cmdlet])}"
        assert "-Force" not in re.sub(r"(Remove|New)-Cs[^\r\n]*", "", code).replace("-addstore", ""), name


def test_a_user_who_is_gone_ends_no_script_of_a_wave(document):
    script = wave_script(document(changed()), "x", "batch-0", [Move("bob@corp.example", "pool.corp.example")]).decode()
    looked_up = [line for line in script.splitlines() if "Get-CsUser" in line]
    assert looked_up
    assert all("-ErrorAction SilentlyContinue" in line for line in looked_up)
    assert "$pool = 'gone'" in script
    skipped = next(line for line in script.splitlines() if "'gone      '" in line)
    assert "continue }" in skipped
    assert script.index(skipped) < script.index("Set-Once ('move '")
    assert "throw ('none of these" in script or "throw 'none of these" in script, "all gone is a wrong shell"


def test_the_products_are_those_of_the_document():
    assert set(PRODUCTS) == set(Product)


def test_a_hostile_document_puts_nothing_into_the_code(document):
    content = changed(
        access_policies={
            "global": {"enable_federation_access": True, "enable_xmpp_access": True},
            "sites": [{"name": HOSTILE, "enable_federation_access": True, "enable_xmpp_access": True}],
            "users": [{"name": HOSTILE + "2", "enable_federation_access": True, "enable_xmpp_access": True}],
        },
        users={"export": "users.table"},
    )
    files = render(document(content), HOSTILE, attachment=Attachment.TRUSTED_APPLICATION)
    strings = [token for name in files if name.endswith(".ps1") for token in tokens(files[name].decode())]
    assert f"Site:{HOSTILE}" in {token.value for token in strings if token.kind == "string"}
    assert not [token for token in strings if token.kind == "code" and MARKER in token.value]
    # What the comment of the head shows stands in one line.
    assert [token for token in strings if token.kind == "comment" and MARKER in token.value]


@pytest.mark.parametrize("source", ["a\nb", "a\u202eb", "a\0b"])
def test_what_cannot_be_shown_as_what_it_is_stops_everything(document, source):
    with pytest.raises(QuotingProblem):
        render(document(changed()), source, attachment=Attachment.TRUSTED_APPLICATION)


def test_a_wave_keeps_the_contacts_before_it_moves_and_never_forces(document):
    script = wave_script(
        document(changed()), "federation.yml", "wave 3 of 9", [Move("o'neil@corp.example", "p.example")]
    )
    text = script.decode()
    assert text.index("Export-CsUserData -PoolFqdn") < text.index("Move-CsUser -Identity")
    assert "o'neil@corp.example" in {token.value for token in tokens(text) if token.kind == "string"}


def test_the_contacts_of_two_users_never_share_a_file(document):
    """The name keeps what a file name may hold, and writes the rest by its code: no two addresses make one name."""
    text = wave_script(document(changed()), "f", "wave 1", [Move("o'neil@corp.example", "p.example")]).decode()
    [(kept, written)] = re.findall(
        r"\[regex\]::Replace\(\$user, '\[\^([^]]+)\]', \{ param\(\$found\) '([^']+)' -f", text
    )
    assert "%" not in kept
    assert written == "%{0:x4}"
    assert "Join-Path $kept ($name + '.zip')" in text


def test_the_pilots_script_goes_back_to_where_it_found_each_of_them(document):
    """It is made of the document alone, which does not say on which of several pools a pilot is."""
    content = changed()
    content["federation"]["pilot"] = {"users": ["alice@corp.example"], "partner": "partner1.example"}
    files = render(document(content), "f", attachment=Attachment.TRUSTED_APPLICATION)
    [text] = [content.decode() for name, content in files.items() if name.endswith("-users.ps1")]
    assert "@('alice@corp.example', '')" in text
    kept, asked = text.index("Save-Before ('home-' + $name) $now"), text.index("Read-Before ('home-' + $name)")
    assert max(kept, asked) < text.index("'stands    ' + $user"), "also of one who is there already"
    assert "Export-CsUserData -PoolFqdn $now " in text
    # One who joined the document later does not keep the others from going back.
    assert "continue }" in text[text.index("if (-not (Test-Before ('home-' + $name)))") : asked]
    assert re.search(r"\$unkept -eq \$moves\.Count\) \{ throw ", text)


def test_users_of_office_communications_server_move_with_its_own_cmdlet_and_without_what_it_lacks(document):
    made = document(with_products("ocs2007r2", "lync2013"))
    text = wave_script(made, "federation.yml", "wave 1", [Move("alice@corp.example", "ocs.example")]).decode()
    assert "Move-CsLegacyUser -Identity" in text
    assert "Export-CsUserData" not in text
    prose = render(made, "federation.yml", attachment=Attachment.TRUSTED_APPLICATION)["RUNBOOK.md"].decode()
    assert "goes one way" in prose


def test_the_routes_name_every_domain_of_every_partner(document):
    content = changed()
    content["federation"]["partners"][0]["additional_domains"] = ["chat.partner1.example"]
    strings = {token.value for token in tokens(route_script(document(content), "f").decode()) if token.kind == "string"}
    assert {"partner1.example", "chat.partner1.example", "partner2.example", "fe-pool.corp.example"} <= strings


def asked_of(script):
    """What a script does when it is only asked: its code up to the `return` of -Show."""
    code = "".join(token.value if token.kind == "code" else "'" for token in tokens(script.decode()))
    return code[: code.index("return", code.index("if ($Show)"))]


@pytest.mark.parametrize("attachment", list(Attachment))
def test_a_script_that_is_asked_ends_before_it_changes_anything(document, attachment):
    made = document(changed())
    moves = [Move("alice@corp.example", "p.example")]
    for script in (
        route_script(made, "f", attachment),
        wave_script(made, "f", "wave 1", moves),
        native_script(made, "f"),
    ):
        before = asked_of(script)
        assert "'shows     '" in script.decode()
        # Functions are only defined above; what is called by then begins with Get-, or makes a route in memory.
        called = before[before.index("if ($Show)") :]
        assert not re.findall(r"\b(?:Set|Add|Remove|New|Move|Export|Enable|Save|Wait)-[A-Z]", called)
        assert not re.findall(
            r"^(?:Set-Once|Wait-Replication|foreach)", before.partition("if ($Show)")[0], re.MULTILINE
        )


def test_the_native_partners_have_a_script_where_the_gateway_is_the_platforms_own(document):
    text = native_script(document(changed()), "f").decode()
    assert {"partner1.example", "partner2.example"} <= {t.value for t in tokens(text) if t.kind == "string"}
    assert "Set-CsSite" not in text, "no page says how that clears a route"
    with pytest.raises(RunbookProblem, match="a product of its own"):
        native_script(document(with_products("lync2010", "lync2013")), "f")


# What `New-CsXmppAllowedPartner` takes of a partner, by its page; the rest are switches of every cmdlet. Optional is
# what a partner may have been without.
ALWAYS = {"PartnerType", "TlsNegotiation", "SaslNegotiation", "SupportDialbackNegotiation", "EnableKeepAlive"}
OPTIONAL = {"AdditionalDomains", "ConnectionLimit", "Description", "ProxyFqdn"}


def test_a_native_partner_comes_back_with_everything_that_it_had(document):
    text = native_script(document(changed()), "f").decode()
    line = re.search(r"New-CsXmppAllowedPartner[^\r]*", text).group()
    assert set(re.findall(r"(?<=\s)-([A-Z][A-Za-z]+) ", line)) == {"Identity", *ALWAYS}
    assert set(re.findall(r"\$more\['([A-Za-z]+)'\] =", text)) == OPTIONAL
    assert "@more)" in line
    for name in ALWAYS | OPTIONAL:
        assert f"$before.{name}" in text, f"{name} is kept and not given back"
    # What it was without is not asked for: an empty text or a limit of 0 is not what it had.
    for name in OPTIONAL - {"AdditionalDomains"}:
        assert f"if ([string]$before.{name} -ne '') {{ $more['{name}'] = " in text, name


def test_taking_native_partners_back_passes_over_one_that_was_never_removed_and_refuses_an_empty_folder(document):
    text = native_script(document(changed()), "f").decode()
    undone = text[text.index("if ($Undo) {") :]
    assert undone.index("if (-not (Test-Before $kept))") < undone.index("Read-Before $kept")
    assert "continue }" in undone[: undone.index("Read-Before $kept")]
    assert re.search(r"\$unkept -eq \$domains\.Count\) \{ throw ", undone)


def policies_of(sites=(), users=()):
    def entry(name):
        return {"name": name, "enable_federation_access": True, "enable_xmpp_access": True}

    content = changed(users={"export": "users.table"})
    content["federation"]["access_policies"] = {
        "global": {"enable_federation_access": True, "enable_xmpp_access": True},
        "sites": [entry(name) for name in sites],
        "users": [entry(name) for name in users],
    }
    return content


def settings_of(document, content):
    return render(document(content), "f", attachment=Attachment.TRUSTED_APPLICATION, parts=["settings"])[
        "5-settings.ps1"
    ].decode()


def kept_under(script):
    """Identity to the name under which what stood before it is kept, as the script's list of policies has them."""
    strings = [token.value for token in tokens(script) if token.kind == "string"]
    at = [number for number, value in enumerate(strings) if value.partition(":")[0] in ("Global", "Site", "Tag")]
    return {strings[number]: strings[number + 1] for number in at}


def test_what_stood_before_a_policy_is_kept_under_a_name_that_no_other_policy_ever_has(document):
    """The document changes and the script is rendered anew: the folder of the first rendering must still be right."""
    renderings = [
        policies_of(["Redmond"], ["FedPic", "Sales"]),
        policies_of(["Berlin", "Redmond"], ["Sales", "FedPic"]),
        policies_of([], ["Sales"]),
        policies_of(["Sales"], ["Redmond", "FedPic"]),
    ]
    kept = [kept_under(settings_of(document, content)) for content in renderings]
    assert [len(each) for each in kept] == [4, 5, 2, 4]
    pairs = {pair for each in kept for pair in each.items()}
    assert len(pairs) == len({identity for identity, _ in pairs}), f"one policy under several names: {sorted(pairs)}"
    assert len(pairs) == len({name for _, name in pairs}), f"several policies under one name: {sorted(pairs)}"


def test_a_policy_is_the_same_in_whatever_case_and_its_file_has_a_name_that_windows_takes(document):
    one = kept_under(settings_of(document, policies_of([HOSTILE], ["FedPic"])))
    other = kept_under(settings_of(document, policies_of([HOSTILE], ["FEDPIC"])))
    assert one["Tag:FedPic"] == other["Tag:FEDPIC"]
    assert all(re.fullmatch(r"policy-(global|site|tag)-[0-9a-f]{16}", name) for name in one.values()), one


def test_undo_takes_back_what_was_kept_whatever_the_document_names_now(document):
    text = settings_of(document, policies_of(["Redmond"], ["FedPic"]))
    code = text[text.index("# External access policies") :]
    forward = code.index("} else {\r\n    foreach ($policy in $policies)")
    checked, undo = code[: code.index("if ($Undo)")], code[code.index("if ($Undo)") : forward]
    # From the folder, by the name that was kept inside; not from the list of the document.
    assert "foreach ($kept in $all)" in undo
    assert "$identity = [string]$before['Identity']" in undo
    assert "$polic" not in undo
    # What names another policy, or none, ends the script before the first write.
    assert checked.count("throw (") == 2
    assert "if ($found -ne $policy[0]) { throw (" in checked
    assert "Save-Before $policy[1] @{ Identity = $identity; WasThere = " in code[forward:]


def test_whether_a_root_was_there_is_kept_of_that_root(document):
    files = render(document(changed()), "f", attachment=Attachment.TRUSTED_APPLICATION, parts=["trust"])
    text = files["1-trust.ps1"].decode()
    assert "$kept = 'root-was-there-' + $root.Thumbprint" in text
    assert text.count("Read-Before $kept") == 2
    assert "'root-was-there'" not in text


def quiet(product="sfb2015", **federation):
    content = with_products(product, "sfb2019")
    content["federation"]["drain"] = {"provider": "powershell", "quiet_minute": "02:30"}
    content["federation"].update(federation)
    return content


def test_the_drain_restarts_the_proxy_in_its_minute_and_reads_it_back(document):
    """Checked by the tests' lexer and by order; it was never run on a Windows machine."""
    text = drain_script(document(quiet()), HOSTILE).decode()
    assert text.startswith("\ufeff# ")
    assert "\n" not in text.replace("\r\n", "")
    found = tokens(text)
    assert not [token for token in found if token.kind == "code" and MARKER in token.value]
    code = "".join(token.value if token.kind == "code" else "'" for token in found)
    for opening, closing in ("()", "{}", "[]"):
        assert code.count(opening) == code.count(closing), f"{opening}{closing}"
    strings = {token.value for token in found if token.kind == "string"}
    assert {"02:30", "*XMPP Translating Gateway Proxy", "legacy1.corp.example", ":5269 "} <= strings
    # Asked for the time it ends before it looks at anything; outside the minute it refuses before it restarts.
    order = ["if ($When)", "$before = Get-ProxyStart", "-not $AnyTime", "Restart-Service", "WriteAllLines"]
    places = [code.index(part) for part in order]
    assert places == sorted(places)
    # The restart is read back: another process, running, listening.
    assert code.index("-gt $before") < code.index("Restart-Service")
    assert "Skype for Business" in text


@pytest.mark.parametrize("product", ["ocs2007r2", "lync2010"])
def test_a_gateway_that_is_no_proxy_on_an_edge_has_no_drain(document, product):
    with pytest.raises(RunbookProblem, match="no XMPP proxy"):
        drain_script(document(quiet(product)), "f")


def test_a_drain_needs_its_minute(document):
    with pytest.raises(RunbookProblem, match="quiet_minute"):
        drain_script(document(quiet(drain={"provider": "wait"})), "f")


def test_a_part_that_the_document_cannot_have_is_refused_with_the_reason(document):
    content = changed(pilot={})
    with pytest.raises(RunbookProblem, match="pilot"):
        render(document(content), "f", attachment=Attachment.TRUSTED_APPLICATION, parts=["first-act"])
    prose = render(document(content), "f", attachment=Attachment.TRUSTED_APPLICATION)["RUNBOOK.md"].decode()
    assert "the document names no pilot.users" in prose


def test_every_part_says_when_it_is_run_and_what_takes_it_back():
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert [part.number for part in PARTS] == list(range(1, len(PARTS) + 1))
    assert all(part.undo and part.when and part.title for part in PARTS)


# The verb


def test_the_verb_writes_the_files_and_names_them(tmp_path, capsys):
    output = tmp_path / "out" / "runbook"
    assert runbook.main(["--document", str(SMALL), "--output", str(output), "--part", "routes"]) == 0
    assert sorted(path.name for path in output.iterdir()) == ["6-routes.ps1", "RUNBOOK.md"]
    assert capsys.readouterr().out.splitlines() == [str(output / "6-routes.ps1"), str(output / "RUNBOOK.md")]


def test_a_bad_document_writes_nothing(tmp_path, capsys):
    path = tmp_path / "bad.yml"
    path.write_text("federation: {version: 2}", encoding="utf-8")
    assert runbook.main(["--document", str(path), "--output", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    assert "nothing written" in capsys.readouterr().err


def test_a_refused_document_writes_nothing(tmp_path, document):
    content = changed()
    content["federation"]["legacy"]["single_edge_fqdn"] = True
    path = tmp_path / "refused.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert runbook.main(["--document", str(path), "--output", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


def test_a_part_that_is_lacking_and_a_place_that_cannot_be_written_are_bad_input(tmp_path, capsys):
    assert runbook.main(["--document", str(SMALL), "--output", str(tmp_path / "o"), "--part", "first-act"]) == 2
    assert "[runbook-value]" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert runbook.main(["--document", str(SMALL), "--output", str(tmp_path / "file")]) == 2
    assert "[runbook-output]" in capsys.readouterr().err


def test_the_example_in_the_documentation_is_what_is_rendered_now():
    files = render(load_document(SMALL), "small.yml", attachment=Attachment.TRUSTED_APPLICATION)
    page = DOCS.read_text(encoding="utf-8")
    for name in ("6-routes.ps1", "RUNBOOK.md"):
        shown = files[name].decode().removeprefix("\ufeff").replace("\r\n", "\n")
        assert f"<!-- {name} -->\n````\n{shown}````\n" in page, (
            f"docs/runbook.md does not show {name} as it is rendered now"
        )
