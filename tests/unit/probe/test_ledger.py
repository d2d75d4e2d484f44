"""What the ledger says of a message, told by the lines that its two ends would write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmppgw.probe.events import Event, Relayed
from xmppgw.probe.ledger import Fate, Gateway, Gateways, Kill, Ledger, classify, control_gaps, silences, tally

GATEWAYS = Gateways(
    legacy=frozenset({"legacy1.corp.example", "198.51.100.5", "2001:db8:2::5"}),
    target=frozenset({"fe1.corp.example", "198.51.100.10"}),
)
PARTNER, PAIR = "partner1.example", "alice/juliet"


def line(e: str, t: float, n: int | None = 0, direction: str = "xmpp_to_sip", **more: str) -> Event:
    return Event(t=t, e=e, partner=PARTNER, pair=PAIR, direction=direction, n=n, **more)


def settled(*lines: Event, relayed: list[Relayed] | None = None, kills: tuple[Kill, ...] = ()) -> Ledger:
    return classify(lines, {PARTNER: relayed or []}, GATEWAYS, kills)


def only(ledger: Ledger):
    (message,) = ledger.messages
    return message


def test_seen_by_its_receiver_is_delivered_through_the_gateway_that_wrote_the_request() -> None:
    message = only(settled(line("sent", 1), line("received", 1.2, via="FE1.corp.example.")))
    assert (message.fate, message.gateway, message.copies) == (Fate.DELIVERED, Gateway.TARGET, 1)


def test_neither_seen_nor_given_back_is_lost() -> None:
    assert only(settled(line("sent", 1))).fate is Fate.LOST


@pytest.mark.parametrize("how", ["returned", "refused"])
def test_given_back_to_its_sender_is_returned(how: str) -> None:
    message = only(settled(line("sent", 1), line(how, 2, code="404")))
    assert (message.fate, message.code) == (Fate.RETURNED, "404")


def test_given_back_though_delivered_stays_delivered_and_is_counted_apart() -> None:
    ledger = settled(line("sent", 1), line("received", 1.1, via="fe1.corp.example"), line("returned", 2))
    counts = tally(ledger.normal())
    assert (counts.delivered, counts.returned, counts.returned_though_delivered) == (1, 0, 1)


def test_seen_twice_is_one_delivery_and_one_doubled() -> None:
    ledger = settled(
        line("sent", 1),
        line("received", 1.1, via="fe1.corp.example"),
        line("received", 1.2, via="legacy1.corp.example"),
    )
    counts = tally(ledger.normal())
    assert (counts.delivered, counts.duplicated, counts.both_gateways) == (1, 1, 1)


def test_at_the_xmpp_end_the_partners_stream_log_names_the_gateway() -> None:
    ledger = settled(
        line("sent", 1, direction="sip_to_xmpp", id="call"),
        line("received", 1.1, direction="sip_to_xmpp", id="stanza"),
        relayed=[Relayed(id="stanza", address="2001:db8:2::5")],
    )
    assert only(ledger).gateway is Gateway.LEGACY


def test_a_stanza_that_no_log_names_came_through_nobody_knows_what() -> None:
    ledger = settled(
        line("sent", 1, direction="sip_to_xmpp"), line("received", 1.1, direction="sip_to_xmpp", id="stanza")
    )
    assert tally(ledger.normal()).through.unknown == 1


def test_a_kill_covers_no_more_than_its_bound_and_only_in_its_window() -> None:
    lines = [line("sent", 10 + n / 10, n) for n in range(3)] + [line("sent", 60, 9)]
    counts = tally(settled(*lines, kills=(Kill(t=10, what="edge1", bound=2),)).normal())
    assert (counts.unprotected, counts.lost) == (2, 2)


def test_a_host_that_was_away_covers_what_was_sent_to_it_meanwhile() -> None:
    lines = [line("sent", when, n) for n, when in enumerate((4, 6, 20, 34, 36))]
    counts = tally(settled(*lines, kills=(Kill(t=10, what="host edge1", bound=9, away_s=20),)).normal())
    assert (counts.unprotected, counts.lost) == (3, 2)


def test_what_the_partners_server_took_and_wrote_to_nobody_is_not_ours_to_lose() -> None:
    ledger = settled(
        line("sent", 1, 0, id="gone"), line("sent", 2, 1, id="written"), relayed=[Relayed(id="gone", address="")]
    )
    assert [message.fate for message in ledger.messages] == [Fate.UNPROTECTED, Fate.LOST]
    assert ledger.dropped_by_partner == 1


def test_a_delivered_message_is_delivered_whatever_a_log_says() -> None:
    ledger = settled(
        line("sent", 1, id="x"), line("received", 1.1, via="fe1.corp.example"), relayed=[Relayed(id="x", address="")]
    )
    assert (only(ledger).fate, ledger.dropped_by_partner) == (Fate.DELIVERED, 0)


def test_a_notice_without_a_number_answers_the_oldest_message_that_waits() -> None:
    first, second = settled(line("sent", 1, 0), line("sent", 2, 1), line("returned", 3, None)).messages
    assert (first.fate, first.returned_by, second.fate) == (Fate.RETURNED, "notice by address", Fate.LOST)


def test_a_notice_that_fits_no_message_returns_none() -> None:
    ledger = settled(line("sent", 1), line("received", 1.1), line("returned", 3, None))
    assert (ledger.unmatched_notices, only(ledger).returned_at) == (1, None)


def test_a_receipt_of_what_nobody_sent_is_shown() -> None:
    assert settled(line("received", 1, 7)).unexpected == 1


def test_arrival_after_a_later_message_is_out_of_order() -> None:
    ledger = settled(line("sent", 1, 0), line("sent", 2, 1), line("received", 3, 1), line("received", 4, 0))
    assert tally(ledger.normal()).reordered == 1


def test_a_silence_stands_beside_the_control_pairs_own() -> None:
    flow = settled(
        *(line(e, t + d, n) for n, t in enumerate((0, 0.1, 3)) for e, d in (("sent", 0), ("received", 0.01)))
    )
    control = classify(
        [Event(t=t, e=e, pair="nurse/friar", n=n) for n, t in enumerate((0.0, 0.5, 2.0)) for e in ("sent", "received")],
        {},
        GATEWAYS,
    )
    (silence,) = silences(flow.normal(), control_gaps(control.control()))
    assert silence.length_s == pytest.approx(2.9)
    assert silence.control_s == pytest.approx(1.5)


_LINES = st.builds(
    line,
    st.sampled_from(["sent", "accepted", "received", "returned", "refused"]),
    st.floats(0, 100),
    st.none() | st.integers(0, 4),
    st.sampled_from(["xmpp_to_sip", "sip_to_xmpp"]),
)


@given(st.lists(_LINES, max_size=60), st.integers(0, 5))
def test_every_message_sent_has_exactly_one_fate(lines: list[Event], bound: int) -> None:
    ledger = settled(*lines, kills=(Kill(t=50, what="x", bound=bound),))
    counts = tally(ledger.normal())
    sent = {(found.direction, found.n) for found in lines if found.e == "sent" and found.n is not None}
    assert counts.sent == len(sent) == counts.delivered + counts.returned + counts.lost + counts.unprotected
    assert counts.unprotected <= bound
    assert sum((counts.through.legacy, counts.through.target, counts.through.unknown)) == counts.delivered


@given(
    st.permutations(
        [line("sent", 1), line("received", 2, via="fe1.corp.example"), line("sent", 3, 1), line("returned", 4, 1)]
    )
)
def test_the_order_of_the_lines_does_not_matter(lines: list[Event]) -> None:
    assert [message.fate for message in settled(*lines).messages] == [Fate.DELIVERED, Fate.RETURNED]
