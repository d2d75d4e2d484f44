"""Our stream machines against Prosody 0.12 and ejabberd 23, as partners' administrators run them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
from tests.interop.authorities import Authorities
from tests.interop.person import Person
from tests.interop.small_edge import SmallEdge
from tests.interop.stage import EJABBERD, EJABBERD_DOMAIN, OURS, PROSODY, PROSODY_DOMAIN

from xmppgw.tls.identity import Identity
from xmppgw.tls.verify import TrustStore
from xmppgw.xmpp.stanza import message
from xmppgw.xmpp.stream import Authorised, CheckDialback, Closed, Method, PeerPolicy, Remarked, StanzaReceived

pytestmark = pytest.mark.interop

S = PeerPolicy.from_letters(frozenset("S"))
ST = PeerPolicy.from_letters(frozenset("ST"))
T = PeerPolicy.from_letters(frozenset("T"))

MakeEdge = Callable[..., SmallEdge]


@pytest.fixture
async def make_edge(authorities: Authorities, front_door: socket.socket, on_stage: None) -> AsyncIterator[MakeEdge]:
    """Edges with a serverAuth-only certificate of the public CA unless told otherwise."""
    edges = []

    def make(policy: PeerPolicy, **certificate: bool) -> SmallEdge:
        pair = authorities.issue(OURS, **certificate)
        identity = Identity.from_pem(*pair, datetime.now(UTC)) if not certificate.get("expired") else None
        edge = SmallEdge(
            domain=OURS,
            identity=identity,
            trust=TrustStore.from_pem(authorities.pem),
            hosts={PROSODY_DOMAIN: PROSODY, EJABBERD_DOMAIN: EJABBERD},
            door=front_door,
            policies={PROSODY_DOMAIN: policy, EJABBERD_DOMAIN: policy},
        )
        edges.append(edge)
        return edge

    yield make
    for edge in edges:
        await edge.stop()


async def test_prosody_takes_our_certificate_and_delivers(make_edge: MakeEdge, juliet: Person) -> None:
    edge = make_edge(S)
    await edge.listen()
    session = await edge.connect(PROSODY_DOMAIN)
    authorised = await edge.wait(Authorised, by=session)
    assert isinstance(authorised, Authorised)
    assert (authorised.method, authorised.encrypted) == (Method.EXTERNAL, True)
    session.send(message(f"alice@{OURS}", juliet.boundjid.bare, "it is the east"))
    received = await juliet.next_message()
    assert (received["body"], received["from"].bare) == ("it is the east", f"alice@{OURS}")


async def test_prosody_connects_by_srv_and_proves_itself_by_certificate(make_edge: MakeEdge, juliet: Person) -> None:
    edge = make_edge(S)
    await edge.listen()
    juliet.send_message(f"alice@{OURS}", "o romeo", mtype="chat")
    arrived = await edge.message("o romeo")
    assert (arrived.method, arrived.pair.sender, str(arrived.stanza.sender)) == (
        Method.EXTERNAL,
        PROSODY_DOMAIN,
        str(juliet.boundjid),
    )


async def test_prosody_returns_an_error_for_an_unknown_user(make_edge: MakeEdge, juliet: Person) -> None:
    edge = make_edge(S)
    await edge.listen()
    session = await edge.connect(PROSODY_DOMAIN)
    await edge.wait(Authorised, by=session)
    session.send(message(f"alice@{OURS}", f"nobody@{PROSODY_DOMAIN}", "anybody?", identifier="q1"))
    error = await edge.wait(StanzaReceived)
    assert isinstance(error, StanzaReceived)
    assert (error.stanza.type, error.stanza.id) == ("error", "q1")


async def test_prosody_user_pings_our_domain(make_edge: MakeEdge, juliet: Person) -> None:
    edge = make_edge(S)
    await edge.listen()
    session = await edge.connect(PROSODY_DOMAIN)
    await edge.wait(Authorised, by=session)
    assert await juliet.plugin["xep_0199"].ping(OURS, timeout=60) > 0


async def test_prosody_says_why_it_refuses_a_self_signed_certificate(make_edge: MakeEdge, juliet: Person) -> None:
    edge = make_edge(ST, self_signed=True)
    session = await edge.connect(PROSODY_DOMAIN)
    closed = await edge.wait(Closed, by=session)
    assert isinstance(closed, Closed)
    assert closed.condition == "not-authorized", closed
    assert "certificate" in closed.text, closed


async def test_draining_prosody_loses_nothing(make_edge: MakeEdge, juliet: Person) -> None:
    """We close Prosody's stream in the middle of a burst; it opens another one."""
    edge = make_edge(S)
    await edge.listen()
    juliet.send_message(f"alice@{OURS}", "first", mtype="chat")
    await edge.message("first")
    for number in range(100):
        juliet.send_message(f"alice@{OURS}", f"burst {number}", mtype="chat")
        if number == 50:
            await edge.message("burst 10")
            for session in edge.sessions:
                session.close()
    for number in range(100):
        await edge.message(f"burst {number}")
    assert len(edge.seen(StanzaReceived)) == 101
    ended = edge.seen(Closed)
    assert ended
    assert all(isinstance(end, Closed) and end.graceful for end in ended), ended


async def test_ejabberd_falls_back_to_dialback_and_delivers(make_edge: MakeEdge, romeo: Person) -> None:
    """ejabberd 23 wants clientAuth in our certificate, which public CAs no longer issue."""
    edge = make_edge(ST)
    await edge.listen()
    session = await edge.connect(EJABBERD_DOMAIN)
    authorised = await edge.wait(Authorised, by=session)
    assert isinstance(authorised, Authorised)
    assert (authorised.method, authorised.encrypted) == (Method.DIALBACK, True)
    assert [remark.code for remark in edge.seen(Remarked, by=session) if isinstance(remark, Remarked)] == [
        "external-refused"
    ]
    session.send(message(f"bob@{OURS}", romeo.boundjid.bare, "but soft"))
    received = await romeo.next_message()
    assert (received["body"], received["from"].bare) == ("but soft", f"bob@{OURS}")


async def test_ejabberd_takes_a_certificate_with_client_authentication(make_edge: MakeEdge, romeo: Person) -> None:
    edge = make_edge(S, client=True)
    await edge.listen()
    session = await edge.connect(EJABBERD_DOMAIN)
    authorised = await edge.wait(Authorised, by=session)
    assert isinstance(authorised, Authorised)
    assert authorised.method is Method.EXTERNAL


@pytest.mark.parametrize(("policy", "method"), [(ST, Method.EXTERNAL), (T, Method.DIALBACK)], ids=["ST", "T"])
async def test_ejabberd_proves_itself_to_us(
    make_edge: MakeEdge, romeo: Person, policy: PeerPolicy, method: Method
) -> None:
    edge = make_edge(policy)
    await edge.listen()
    romeo.send_message(f"bob@{OURS}", "see how she leans", mtype="chat")
    arrived = await edge.message("see how she leans")
    assert (arrived.method, arrived.pair.sender) == (method, EJABBERD_DOMAIN)
    assert bool(edge.seen(CheckDialback)) == (method is Method.DIALBACK)


async def test_prosody_proves_itself_by_dialback_where_that_is_all_we_take(make_edge: MakeEdge, juliet: Person) -> None:
    edge = make_edge(T)
    await edge.listen()
    juliet.send_message(f"alice@{OURS}", "by any other name", mtype="chat")
    arrived = await edge.message("by any other name")
    assert arrived.method is Method.DIALBACK
