"""frontend.json: what the federation document derives is read, and everything else is refused as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xmppgw.federation import front_end_settings, load_document
from xmppgw.frontend.access import AccessRules
from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.xmpp.address import JID

DOCUMENT = Path(__file__).parents[3] / "inventories/lab/group_vars/all/federation.yml"


def derived(**changes: Any) -> bytes:
    settings = front_end_settings(load_document(DOCUMENT), "fe1", policy_enabled=True, federation_enabled=True)
    return json.dumps({**settings, **changes}).encode()


@pytest.mark.parametrize(("policy", "federation"), [(False, False), (True, False), (True, True)])
def test_what_the_federation_document_derives_is_what_the_front_end_reads(policy: bool, federation: bool) -> None:
    settings = front_end_settings(load_document(DOCUMENT), "fe1", policy_enabled=policy, federation_enabled=federation)
    rules = AccessRules(decode_front_end_settings(json.dumps(settings).encode()))
    allowed = rules.refuse(JID.parse("alice@corp.example"), JID.parse("juliet@partner1.example")) is None
    assert allowed is (policy and federation)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"colour": "red"}, "settings-key"),
        ({"links": [{"server_name": "e", "addresses": ["edge1"]}]}, "settings-value"),
        ({"links": [{"server_name": "e", "addresses": []}]}, "settings-value"),
        ({"metrics": {"address": "::"}}, "settings-value"),
        ({"partners": [{"domain": "corp.example"}]}, "settings-conflict"),
        ({"access_policy": {"everyone": {}}}, "settings-key"),
        ({"message_ttl_seconds": -1}, "settings-value"),
    ],
)
def test_what_is_wrong_is_refused_by_its_code(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(SettingsProblem) as problem:
        decode_front_end_settings(derived(**changes))
    assert problem.value.code == code


def test_nothing_is_allowed_by_default() -> None:
    settings = json.loads(derived())
    del settings["access_policy"]
    rules = AccessRules(decode_front_end_settings(json.dumps(settings).encode()))
    refusal = rules.refuse(JID.parse("alice@corp.example"), JID.parse("juliet@partner1.example"))
    assert refusal is not None
    assert refusal.code == "policy"


def test_each_half_of_a_pair_is_looked_at() -> None:
    rules = AccessRules(decode_front_end_settings(derived()))
    alice, juliet = JID.parse("alice@corp.example"), JID.parse("juliet@partner1.example")
    eve = JID.parse("eve@elsewhere.example")
    assert rules.refuse(alice, juliet) is None
    codes = [refusal.code for pair in ((eve, juliet), (alice, eve)) if (refusal := rules.refuse(*pair)) is not None]
    assert codes == ["foreign-domain", "not-a-partner"]
