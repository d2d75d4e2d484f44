"""Which gateway answers a connection, as a table; and how the phases are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from xmppgw.edge.partners import PartnerTable
from xmppgw.edge.phases import PhaseTable, ToLegacy
from xmppgw.edge.settings import EdgeSettings, decode_edge_settings
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.xmpp.first_header import FirstHeader


def settings(folder: Path, **changes: Any) -> EdgeSettings:
    whole = {
        "node": "edge1.corp.example",
        "own_domains": ["corp.example", "branch.example"],
        "federation_enabled": True,
        "control_socket": str(folder / "edge.sock"),
        "link": {"listen_address": "127.0.0.1", "certificate": "c", "key": "k", "ca": "a", "peers": ["fe1"]},
        "tls": {"certificate": "c", "key": "k", "trust": ["t"]},
        "resolver": ["127.0.0.1"],
        "partners": [
            {"domain": "partner1.example", "additional_domains": ["conference.partner1.example"]},
            {"domain": "partner2.example"},
        ],
        "legacy": {"addresses": [{"host": "203.0.113.5"}], "phases_file": str(folder / "phases.json")},
    }
    return decode_edge_settings(msgspec.json.encode({**whole, **changes}))


LEGACY, UNLISTED, NOBODY, OURS = ToLegacy("phase"), ToLegacy("unlisted"), ToLegacy("no-from"), None


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        ("corp.example", "partner1.example", OURS),
        ("branch.example", "partner1.example", OURS),
        ("corp.example", "conference.partner1.example", OURS),
        ("corp.example", "partner2.example", LEGACY),
        ("branch.example", "partner2.example", LEGACY),
        ("corp.example", "stranger.example", UNLISTED),
        ("corp.example", None, NOBODY),
        # Refused by us, each in its own way.
        ("other.example", "partner1.example", OURS),
        ("other.example", "partner2.example", OURS),
        ("other.example", None, OURS),
        ("corp.example", "corp.example", OURS),
        ("corp.example", "branch.example", OURS),
    ],
)
def test_the_first_header_decides(tmp_path: Path, local: str, remote: str | None, expected: ToLegacy | None) -> None:
    """partner1 has been switched, partner2 has not."""
    partners = PartnerTable(settings(tmp_path))
    table = PhaseTable(settings(tmp_path))
    assert table.set("partner1.example", "gateway", 17.0, partners)
    assert table.destination(FirstHeader(local, remote), partners) == expected
    again = PhaseTable(settings(tmp_path))
    assert again.destination(FirstHeader(local, remote), partners) == expected, "the same after a restart"


def test_without_a_legacy_gateway_everyone_is_ours(tmp_path: Path) -> None:
    without = settings(tmp_path, legacy=None)
    partners = PartnerTable(without)
    table = PhaseTable(without)
    assert table.default == "gateway"
    assert table.destination(FirstHeader("corp.example", "stranger.example"), partners) is None
    assert not table.set("partner1.example", "legacy", 1.0, partners)
    assert not (tmp_path / "phases.json").exists()


def test_the_file_holds_listed_partners_only_and_is_never_half_written(tmp_path: Path) -> None:
    table = PhaseTable(settings(tmp_path))
    table.set("partner1.example", "gateway", 1.0, PartnerTable(settings(tmp_path)))
    fewer = settings(tmp_path, partners=[{"domain": "partner2.example"}])
    table = PhaseTable(fewer)
    table.set("partner2.example", "gateway", 2.0, PartnerTable(fewer))
    assert msgspec.json.decode((tmp_path / "phases.json").read_bytes()) == {
        "schema": 1,
        "phases": {"partner2.example": {"phase": "gateway", "since": 2.0}},
    }
    assert sorted(each.name for each in tmp_path.iterdir()) == ["phases.json"]
    assert (tmp_path / "phases.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("legacy", [{"addresses": []}, {"addresses": [{"host": "a", "port": 0}]}, {}, {"address": "a"}])
def test_a_legacy_gateway_without_an_address_is_refused(tmp_path: Path, legacy: dict[str, Any]) -> None:
    with pytest.raises(SettingsProblem):
        settings(tmp_path, legacy=legacy)


def test_a_legacy_gateway_by_name_needs_a_resolver(tmp_path: Path) -> None:
    partners = [{"domain": "partner1.example", "addresses": [{"host": "203.0.113.9"}]}]
    with pytest.raises(SettingsProblem) as problem:
        settings(tmp_path, partners=partners, resolver=[], legacy={"addresses": [{"host": "legacy1.corp.example"}]})
    assert problem.value.code == "settings-value"
