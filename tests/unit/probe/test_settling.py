"""When traffic has come to rest: for all partners at one gateway, except those that the migration leaves behind."""

from __future__ import annotations

from msgspec import structs
from tests.unit.probe.story import GATEWAYS

from xmppgw.probe.events import Relayed
from xmppgw.probe.ledger import Gateway
from xmppgw.probe.people import FlowStatus, Seen
from xmppgw.probe.settling import expected_gateway, expected_of, rest
from xmppgw.probe.steps import Course, Step, Switch

NOW = 1000.0
OURS, OLD = "fe1.corp.example", "legacy1.corp.example"


def to_sip(partner: str, via: str, kind: str = "normal") -> FlowStatus:
    seen = {via: Seen(9, NOW - 0.1)} if via else {}
    return FlowStatus(partner, f"alice/{partner}", "xmpp_to_sip", kind, 9, 9, 0, NOW - 0.1, seen)  # type: ignore[arg-type]


def to_xmpp(partner: str) -> FlowStatus:
    return FlowStatus(partner, f"alice/{partner}", "sip_to_xmpp", "normal", 9, 9, 0, NOW - 0.1, {})


def test_a_partner_left_behind_may_stay_at_the_old_gateway_and_nobody_else() -> None:
    flows = [to_sip("one.example", OURS), to_sip("static.example", OLD)]
    assert rest(flows, {}, GATEWAYS, Gateway.TARGET, NOW, behind=["static.example"]).gateway is Gateway.TARGET
    still = rest(flows, {}, GATEWAYS, Gateway.TARGET, NOW)
    assert still.gateway is None
    assert "static.example" in still.awaited[0]


def test_what_belongs_to_a_domain_of_the_legacy_gateway_stays_there() -> None:
    """Coexistence: the same partner's traffic rests here for one SIP domain and there for the other."""
    ours = structs.replace(to_sip("one.example", OURS), own="branch.example")
    theirs = structs.replace(to_sip("one.example", OLD), own="corp.example")
    found = rest([ours, theirs], {}, GATEWAYS, Gateway.TARGET, NOW, staying=["corp.example"])
    assert found.gateway is Gateway.TARGET
    strayed = structs.replace(theirs, via=ours.via)
    assert rest([ours, strayed], {}, GATEWAYS, Gateway.TARGET, NOW, staying=["corp.example"]).gateway is None


def test_what_was_never_meant_to_arrive_is_not_waited_for() -> None:
    flows = [to_sip("one.example", OURS), to_sip("away.example", "", kind="unreachable")]
    assert rest(flows, {}, GATEWAYS, Gateway.TARGET, NOW).gateway is Gateway.TARGET


def test_what_others_send_to_the_same_partner_says_nothing_about_a_flow() -> None:
    lines = [
        Relayed(id="a", address="198.51.100.10", t=NOW - 0.2, sender="alice@corp.example"),
        Relayed(id="b", address="198.51.100.5", t=NOW - 0.1, sender="nobody@branch.example"),
    ]
    found = rest([to_xmpp("one.example")], {"one.example": lines}, GATEWAYS, Gateway.TARGET, NOW)
    assert found.gateway is Gateway.TARGET


def test_the_run_itself_knows_better_than_the_journal_of_before() -> None:
    done = Course((Step(6, "Update DNS", "done"),), (), (), (Switch(NOW, "one.example", "gateway"),))
    states = {"one.example": "static?", "two.example": "static?"}
    expected = [expected_of(f"{name}.example", done, states) for name in ("one", "two", "three")]
    assert expected == [Gateway.TARGET, Gateway.LEGACY, Gateway.TARGET]
    undone = Course((Step(6, "Update DNS", "undone"),), (), ())
    assert expected_of("one.example", undone, states) is Gateway.LEGACY


def test_a_command_without_steps_leaves_every_partner_where_the_journal_says() -> None:
    restarted = Course((Step(6, "Update DNS", "pending"),), (), ())
    states = {"one.example": "gateway", "static.example": "static?"}
    assert expected_gateway(restarted, states) is Gateway.TARGET
    expected = [expected_of(f"{name}.example", restarted, states) for name in ("one", "static", "unheard")]
    assert expected == [Gateway.TARGET, Gateway.LEGACY, Gateway.LEGACY]
    assert expected_gateway(restarted, {"one.example": "legacy"}) is None
