"""`xmppgw firewall`: the request that a firewall's administrators get, and a host's own rules."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from xmppgw.cli.program import main
from xmppgw.federation import load_document, ports
from xmppgw.federation.host_firewall import Surroundings, UnknownHostError, WrongNetworkError, host_rules
from xmppgw.federation.reachability import attempts

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "inventories/lab/group_vars/all/federation.yml"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["firewall", *arguments])
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json"])
def test_every_row_of_the_port_table_is_in_the_request(capsys: pytest.CaptureFixture[str], form: str) -> None:
    status, text, _ = printed(capsys, "request", "--document", str(LAB), "--format", form)
    rows = ports(load_document(LAB))
    assert status == 0
    if form == "json":
        assert len(json.loads(text)["rows"]) == len(rows)
    elif form == "csv":
        read = list(csv.DictReader(io.StringIO(text)))
        assert [(row["code"], int(row["port"])) for row in read] == [(row.code, row.port) for row in rows]
    else:
        assert all(text.count(row.purpose) >= 1 for row in rows)
        assert all(address in text for row in rows for address in row.destination.addresses)


def test_public_addresses_are_asked_for_as_translations(capsys: pytest.CaptureFixture[str]) -> None:
    document = ROOT / "inventories/azure/group_vars/all/federation.yml"
    _, text, _ = printed(capsys, "request", "--document", str(document), "--format", "json")
    assert {one["host"]: one["public_addresses"] for one in json.loads(text)["translations"]}["edge1"] == [
        "198.51.100.10",
        "2001:db8:60::10",
    ]


def test_a_cell_that_a_spreadsheet_would_calculate_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    from xmppgw.cli.firewall import _cell  # noqa: PLC0415

    assert _cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rules", "nobody", "--administrators", "203.0.113.0/24"), "firewall-host"),
        (("rules", "edge1"), "firewall-network"),
        (("rules", "edge1", "--administrators", "203.0.113.1/24"), "firewall-network"),
        (("rules", "edge1", "--administrators", "203.0.113.0/24", "--time-servers", "ntp.example"), "firewall-network"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_printed(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: str
) -> None:
    status, text, said = printed(capsys, *arguments, "--document", str(LAB))
    assert (status, text) == (2, "")
    assert f"[{code}]" in said


def test_an_unusable_document_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "federation.yml"
    broken.write_text("federation: {version: 1, colour: red}\n")
    for arguments in (("request",), ("rules", "edge1", "--administrators", "203.0.113.0/24")):
        status, text, said = printed(capsys, *arguments, "--document", str(broken))
        assert (status, text) == (2, "")
        assert "[unknown-key]" in said


def test_only_the_dns_writer_may_change_dns() -> None:
    document = load_document(LAB)
    around = ("203.0.113.0/24",)
    assert "dns-update" not in host_rules(document, "fe1", Surroundings(around))
    assert "dns-update" in host_rules(document, "fe1", Surroundings(around, writes_dns=True))
    with pytest.raises(UnknownHostError):
        host_rules(document, "fw1", Surroundings(around))
    with pytest.raises(WrongNetworkError, match="nobody could reach"):
        host_rules(document, "fe1", Surroundings(()))


def test_what_is_tried_from_a_host() -> None:
    tried = attempts(load_document(LAB), "fe1")
    allowed = {(each.address, each.port) for each in tried if each.allowed}
    assert ("198.51.100.11", 23456) in allowed
    others = {(each.address, each.port) for each in tried if not each.allowed}
    assert ("198.51.100.10", 22) in others
    assert ("198.51.100.10", 5269) in others
    assert not allowed & others
    # A firewall stands between zones: what is beside the front end is not its business.
    assert not {address for address, _ in others} & {"198.51.100.70", "198.51.100.71"}
    assert all((":" in each.source) == (":" in each.address) for each in tried)
