"""One stage for all interop tests, with both servers; the tests run in its network."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.interop.authorities import Authorities
from tests.interop.person import Person
from tests.interop.servers import EJABBERD_PARTNER, PROSODY_PARTNER, name_partner, start_ejabberd, start_prosody
from tests.interop.stage import (
    EDGE,
    EJABBERD,
    EJABBERD_DOMAIN,
    OURS,
    PASSWORD,
    PROSODY,
    PROSODY_DOMAIN,
    Stage,
    reason_to_skip,
)


@pytest.fixture(scope="session")
def authorities() -> Authorities:
    return Authorities()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, authorities: Authorities) -> Iterator[Stage]:
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    stage = Stage(tmp_path_factory.mktemp("stage"))
    try:
        stage.names.records[f"_xmpp-server._tcp.{OURS}.", "SRV"] = [f"0 0 5269 edge.{OURS}."]
        stage.names.records[f"edge.{OURS}.", "A"] = [EDGE]
        for server in (PROSODY_PARTNER, EJABBERD_PARTNER):
            name_partner(stage, server)
        start_prosody(stage, authorities)
        start_ejabberd(stage, authorities)
        yield stage
    finally:
        stage.stop()


@pytest.fixture(scope="session")
def front_door(stage: Stage) -> Iterator[socket.socket]:
    """The listening socket of our edge, open from before the first test to the end, as a socket unit's would be.

    A port that refuses for a moment between two tests would make ejabberd refuse to try again for minutes.
    """
    with stage.inside():
        door = socket.create_server((EDGE, 5269), backlog=64)
    yield door
    door.close()


@pytest.fixture
def on_stage(stage: Stage) -> Iterator[None]:
    """Sockets of the test belong to the stage's network, and only while it runs."""
    with stage.inside():
        yield


@pytest.fixture
async def juliet(on_stage: None) -> AsyncIterator[Person]:
    person = Person(f"juliet@{PROSODY_DOMAIN}", PASSWORD, PROSODY)
    await person.come_online()
    yield person
    await person.go()


@pytest.fixture
async def romeo(on_stage: None) -> AsyncIterator[Person]:
    person = Person(f"romeo@{EJABBERD_DOMAIN}", PASSWORD, EJABBERD)
    await person.come_online()
    yield person
    await person.go()
