"""Only what the lab's own standing still explains is excused by the long walks."""

import pytest
from tests.lab.recount import PLATFORM_WAITS_S, STOOD_STILL_S, unexplained

from xmppgw.probe.events import Event
from xmppgw.probe.ledger import Gateways, classify

STOPPED, WENT_ON = 10.0, 10.0 + STOOD_STILL_S


def told(sent: float, returned: float, *, control: tuple[float, ...]) -> int:
    """What is unexplained about one message that arrived, was returned, and had a control pair delivering beside it."""

    def line(e: str, t: float, n: int, direction: str, **more: str) -> Event:
        return Event(t=t, e=e, partner="partner1.example", pair="alice/juliet", direction=direction, n=n, **more)

    said = [line("sent", sent, 0, "sip_to_xmpp"), line("received", returned, 0, "sip_to_xmpp", via="fe1.corp.example")]
    said.append(line("refused", returned, 0, "sip_to_xmpp", code="504"))
    for number, at in enumerate(control):
        said += [line("sent", at, number, "control"), line("received", at, number, "control")]
    ledger = classify(said, {}, Gateways(legacy=frozenset(), target=frozenset({"fe1.corp.example"})))
    return unexplained(ledger, ledger.between_domains())


@pytest.mark.parametrize(
    ("sent", "returned"),
    [(STOPPED - 1, WENT_ON), (STOPPED + 0.1, WENT_ON + 7), (WENT_ON + PLATFORM_WAITS_S - 0.1, WENT_ON + 13)],
    ids=["under way", "sent meanwhile", "sent into the backlog"],
)
def test_what_met_a_standstill_is_explained(sent: float, returned: float) -> None:
    assert told(sent, returned, control=(STOPPED - 0.5, STOPPED, WENT_ON, WENT_ON + 0.5)) == 0


@pytest.mark.parametrize(
    ("sent", "returned"),
    [(1.0, STOPPED - 0.1), (WENT_ON + PLATFORM_WAITS_S + 0.1, WENT_ON + 13)],
    ids=["before", "long after"],
)
def test_what_met_none_is_not(sent: float, returned: float) -> None:
    assert told(sent, returned, control=(STOPPED - 0.5, STOPPED, WENT_ON, WENT_ON + 0.5)) == 1


def test_an_ordinary_pause_explains_nothing() -> None:
    assert told(STOPPED, WENT_ON, control=(STOPPED, STOPPED + STOOD_STILL_S * 0.9, WENT_ON + 0.5)) == 1
