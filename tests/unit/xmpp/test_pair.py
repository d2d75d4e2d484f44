"""Both machines on one wire: the outcome follows from policy and certificates, as the 18 combinations promise."""

from __future__ import annotations

import itertools

import pytest
from tests.unit.xmpp.playbook import LOCAL, PARTNER, SECRET, Wire, counter, outgoing

from xmppgw.xmpp.incoming import IncomingSettings, IncomingStream
from xmppgw.xmpp.stanza import message
from xmppgw.xmpp.stream import (
    Authorised,
    Closed,
    DialbackOutcome,
    Method,
    Pair,
    PeerPolicy,
    StanzaReceived,
)

LETTERS = [frozenset(letters) for letters in ("S", "T", "C", "ST", "TC", "STC", "SC")]


def wire(client: PeerPolicy, server: PeerPolicy, **more) -> Wire:
    settings = IncomingSettings(frozenset({PARTNER}), lambda _own, _remote: server, SECRET)
    stream = IncomingStream(settings, counter())
    stream.start(0.0)
    return Wire(outgoing(client), stream, **more)


def expected(client: frozenset[str], server: frozenset[str], *, trusts_client: bool) -> tuple[Method, bool] | None:
    """What must come out: method and encryption, or None for no connection."""
    tls = bool(client & {"S", "T"}) and bool(server & {"S", "T"})
    if tls:
        if "S" in client & server and trusts_client:
            return Method.EXTERNAL, True
        if "T" in client & server:
            return Method.DIALBACK, True
        return None
    return (Method.DIALBACK, False) if "C" in client & server else None


@pytest.mark.parametrize(
    ("client", "server", "trusts_client"),
    list(itertools.product(LETTERS, LETTERS, [True, False])),
    ids=lambda value: "".join(sorted(value)) if isinstance(value, frozenset) else ("trusted" if value else "untrusted"),
)
def test_the_outcome_follows_from_both_policies(client, server, trusts_client):
    ours, theirs = PeerPolicy.from_letters(client), PeerPolicy.from_letters(server)
    connection = wire(ours, theirs, trusts_client=trusts_client)
    connection.run()
    outcome = expected(client, server, trusts_client=trusts_client)
    for side in ("client", "server"):
        authorised = connection.outputs(side, Authorised)
        found = (authorised[0].method, authorised[0].encrypted) if authorised else None
        assert found == outcome, connection.log
        assert len(authorised) <= 1
    if outcome is None:
        assert connection.outputs("client", Closed) or connection.client.phase.value == "ending"


@pytest.mark.parametrize("letters", ["S", "T", "C"])
@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_a_message_travels_whole_however_the_bytes_arrive(letters, chunk):
    policy = PeerPolicy.from_letters(frozenset(letters))
    connection = wire(policy, policy, chunk=chunk)
    connection.run()
    stanza = message(f"a@{LOCAL}", f"b@{PARTNER}", "wherefore <art> & \r\n thou", identifier="7")
    connection.do("client", connection.client.send(stanza, 1.0))
    (received,) = connection.outputs("server", StanzaReceived)
    assert received.pair == Pair(LOCAL, PARTNER)
    assert received.stanza.element == stanza


@pytest.mark.parametrize("outcome", [DialbackOutcome.INVALID, DialbackOutcome.ERROR])
def test_failed_dialback_authorises_neither_side(outcome):
    policy = PeerPolicy.from_letters(frozenset("T"))
    connection = wire(policy, policy, dialback=outcome)
    connection.run()
    assert not connection.outputs("client", Authorised)
    assert not connection.outputs("server", Authorised)
    assert len(connection.outputs("client", Closed)) == 1
    assert len(connection.outputs("server", Closed)) == 1


@pytest.mark.parametrize("closer", ["client", "server"])
def test_a_graceful_end_is_graceful_on_both_sides(closer):
    policy = PeerPolicy.from_letters(frozenset("S"))
    connection = wire(policy, policy)
    connection.run()
    machine = connection.client if closer == "client" else connection.server
    connection.do(closer, machine.close(2.0))
    for side in ("client", "server"):
        (closed,) = connection.outputs(side, Closed)
        assert closed.graceful
        assert closed.authorised
