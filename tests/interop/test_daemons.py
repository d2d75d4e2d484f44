"""Both daemons between a SIP platform and real partners: Prosody 0.12 and ejabberd 23, found by DNS.

The platform is the scripted one of the security tests; what is real here is everything from the edge outwards.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.interop.authorities import Authorities
from tests.interop.gateway import Gateway
from tests.interop.person import Person
from tests.interop.stage import EJABBERD_DOMAIN, OURS, PROSODY_DOMAIN

pytestmark = pytest.mark.interop


@pytest.fixture
async def gateway(
    tmp_path: Path, authorities: Authorities, front_door: socket.socket, on_stage: None
) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, authorities, front_door)
    await made.begin()
    yield made
    await made.close()
    # Shown by pytest only where a test has failed.
    print(made.edge_journal.getvalue(), made.front_end_journal.getvalue(), sep="\n")


@pytest.fixture(params=["prosody", "ejabberd"])
def person(request: pytest.FixtureRequest) -> Person:
    """Somebody at each of the partners."""
    found = request.getfixturevalue({"prosody": "juliet", "ejabberd": "romeo"}[request.param])
    assert isinstance(found, Person)
    return found


def methods(gateway: Gateway) -> dict[tuple[str, str], str]:
    return {(facts.remote, facts.direction): facts.method for facts in gateway.edge.context.registry.facts()}


async def test_messages_flow_both_ways(gateway: Gateway, person: Person) -> None:
    address = person.boundjid.bare
    transaction = await gateway.platform.send("from alice", to=address)
    assert await gateway.platform.status(transaction) == 202
    received = await person.next_message()
    assert (received["body"], received["from"].bare) == ("from alice", f"alice@{OURS}")
    person.send_message(f"alice@{OURS}", "from a partner", mtype="chat")
    (request,) = await gateway.platform.requests.count(1)
    assert request.body == b"from a partner"
    assert str(request.from_.uri) == f"sip:{address}"
    expected = {PROSODY_DOMAIN: "external", EJABBERD_DOMAIN: "dialback"}[person.boundjid.domain]
    assert methods(gateway)[person.boundjid.domain, "out"] == expected


async def test_an_unknown_sip_user_comes_back_as_an_error(gateway: Gateway, person: Person) -> None:
    gateway.platform.answer = lambda request: 404
    person.send_message(f"nobody@{OURS}", "anybody?", mtype="chat")
    error = await person.next_message()
    assert (error["type"], error["from"].bare) == ("error", f"nobody@{OURS}")


async def test_an_unknown_xmpp_user_comes_back_as_a_notice(gateway: Gateway, person: Person) -> None:
    nobody = f"nobody@{person.boundjid.domain}"
    transaction = await gateway.platform.send("anybody?", to=nobody, call_id="call-77@pool")
    assert await gateway.platform.status(transaction) == 202
    (notice,) = await gateway.platform.requests.count(1)
    assert notice.body.startswith(b"Message not delivered")
    assert notice.header("In-Reply-To") == "call-77@pool"


async def test_a_hundred_messages_each_way_arrive_once_and_in_order(gateway: Gateway, person: Person) -> None:
    expected = [f"number {number}" for number in range(100)]
    for text in expected:
        person.send_message(f"alice@{OURS}", text, mtype="chat")
        await gateway.platform.send(text, to=person.boundjid.bare)
    found = [(await person.next_message())["body"] for _ in expected]
    await gateway.platform.requests.count(100)
    assert found == expected
    assert gateway.platform.bodies() == expected


async def test_partners_come_back_after_a_restart_of_the_edge(gateway: Gateway, person: Person) -> None:
    person.send_message(f"alice@{OURS}", "before", mtype="chat")
    await gateway.platform.requests.count(1)
    await gateway.edge.stop()
    await gateway.start_edge()
    await gateway.platform.send("hello again", to=person.boundjid.bare)
    assert (await person.next_message())["body"] == "hello again"
    person.send_message(f"alice@{OURS}", "after", mtype="chat")
    await gateway.platform.requests.count(2)
    assert gateway.platform.bodies() == ["before", "after"]
