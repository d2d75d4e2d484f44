"""The front end's access rules with a users' table: user beats site beats global, and who is unknown gets nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xmppgw.federation import examine_document, front_end_settings
from xmppgw.frontend.access import AccessRules
from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.policy.index import build_index
from xmppgw.policy.users import User
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.xmpp.address import JID

DOCUMENT = Path(__file__).parents[1] / "federation/small.yml"
ON = {"enable_federation_access": True, "enable_xmpp_access": True}
OFF = {"enable_federation_access": True, "enable_xmpp_access": False}


def derived(**policy: Any) -> bytes:
    document = examine_document(DOCUMENT).require()
    host = document.federation.front_ends[0][1].host
    settings = front_end_settings(document, host, policy_enabled=True, federation_enabled=True)
    return json.dumps({**settings, "access_policy": policy}).encode()


def partner() -> JID:
    return JID.parse(f"juliet@{examine_document(DOCUMENT).require().federation.partners[0].domain}")


def own(name: str) -> JID:
    return JID.parse(f"{name}@{examine_document(DOCUMENT).require().federation.own_domains[0]}")


@pytest.fixture
def table(tmp_path: Path) -> str:
    users = [
        User(str(own("alice"))),
        User(str(own("bob")), site="Berlin"),
        User(str(own("carol")), site="Berlin", policy="FedPic"),
        User(str(own("dave")), enabled=False),
        User(str(own("erin")), pool="sba1.corp.example", survivable_branch=True),
        User(str(own("frank")), hosting="cloud"),
    ]
    path = tmp_path / "users.sqlite"
    build_index(users, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("alice", ""),
        ("bob", "policy"),
        ("carol", ""),
        ("dave", "user-disabled"),
        ("erin", "user-survivable-branch"),
        ("frank", "user-in-cloud"),
        ("nobody", "user-unknown"),
    ],
)
def test_each_user_has_the_policy_that_holds_for_it(table: str, name: str, code: str) -> None:
    policy = {"global": ON, "sites": {"berlin": OFF}, "users": {"fedpic": ON}, "users_table": table}
    rules = AccessRules(decode_front_end_settings(derived(**policy)))
    refusal = rules.refuse(own(name), partner())
    rules.close()
    assert (refusal.code if refusal else "") == code
    if refusal:
        assert str(own(name)) in refusal.detail
        assert str(own(name)) not in refusal.failure.text, "a partner learns nothing of one user"


def test_the_administrator_decides_for_branch_users(table: str) -> None:
    rules = AccessRules(decode_front_end_settings(derived(**{"global": ON}, survivable_branch=True, users_table=table)))
    assert rules.refuse(own("erin"), partner()) is None
    rules.close()


def test_a_device_has_the_policy_of_its_user(table: str) -> None:
    rules = AccessRules(decode_front_end_settings(derived(**{"global": ON}, users_table=table)))
    assert rules.refuse(own("alice").with_resource("phone"), partner()) is None
    rules.close()


def test_policies_of_users_without_a_table_are_refused() -> None:
    with pytest.raises(SettingsProblem) as problem:
        decode_front_end_settings(derived(**{"global": ON}, users={"FedPic": OFF}))
    assert problem.value.code == "settings-conflict"


def test_a_table_that_is_missing_is_refused(tmp_path: Path) -> None:
    settings = decode_front_end_settings(derived(**{"global": ON}, users_table=str(tmp_path / "none")))
    with pytest.raises(SettingsProblem) as problem:
        AccessRules(settings)
    assert problem.value.code == "settings-users"


def test_a_document_that_names_a_table_derives_the_policies_of_all_scopes(tmp_path: Path) -> None:
    text = DOCUMENT.read_text().rstrip() + "\n  users: {export: users.table}\n"
    path = tmp_path / "federation.yml"
    path.write_text(
        text.replace(
            "  access_policies:", "  access_policies:\n    sites: [{name: Berlin, enable_federation_access: true}]"
        )
    )
    document = examine_document(path).require()
    host = document.federation.front_ends[0][1].host
    for enabled in (False, True):
        settings = front_end_settings(document, host, policy_enabled=enabled, federation_enabled=True)
        policy = decode_front_end_settings(json.dumps(settings).encode()).access_policy
        assert (policy.users_table is not None) is enabled
        assert bool(policy.sites) is enabled
