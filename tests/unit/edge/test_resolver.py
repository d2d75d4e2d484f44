"""DNS look-ups: what is cached for how long, and the difference between "there is none" and "nobody could say"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import dns.rcode
import pytest
from tests.unit.edge.names import Names

from xmppgw.edge.resolver import Resolver, ResolverFailure

SRV = "_xmpp-server._tcp.partner.example"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    made = Names()
    yield made
    made.close()


async def resolver(names: Names, clock: Clock, *, seconds: float = 60.0, entries: int = 100) -> Resolver:
    port = await names.start()
    return Resolver(["127.0.0.1"], port, seconds=seconds, entries=entries, clock=clock)


async def test_an_answer_is_kept_for_its_ttl_and_not_longer(names: Names) -> None:
    clock = Clock()
    names.ttl = 3
    names.zone[SRV, "SRV"] = ["10 20 5269 xmpp.partner.example."]
    asking = await resolver(names, clock)
    assert await asking.look_up(SRV, "SRV") == ("10 20 5269 xmpp.partner.example.",)
    names.zone[SRV, "SRV"] = ["0 0 5269 new.partner.example."]
    clock.now += 2.9
    assert await asking.look_up(SRV, "SRV") == ("10 20 5269 xmpp.partner.example.",)
    clock.now += 0.2
    assert await asking.look_up(SRV, "SRV") == ("0 0 5269 new.partner.example.",)
    assert len(names.asked) == 2


async def test_that_there_is_none_is_an_answer_and_is_kept_too(names: Names) -> None:
    clock = Clock()
    names.ttl = 3
    names.zone["partner.example", "A"] = ["198.51.100.1"]
    asking = await resolver(names, clock)
    assert await asking.look_up("nowhere.example", "SRV") == ()
    assert await asking.look_up("partner.example", "AAAA") == ()
    assert await asking.look_up("partner.example", "AAAA") == ()
    assert len(names.asked) == 2
    clock.now += 3.1
    await asking.look_up("partner.example", "AAAA")
    assert len(names.asked) == 3


async def test_a_resolver_that_fails_is_not_a_name_that_does_not_exist(names: Names) -> None:
    clock = Clock()
    names.rcode = dns.rcode.SERVFAIL
    asking = await resolver(names, clock)
    with pytest.raises(ResolverFailure, match="no resolver could answer"):
        await asking.look_up(SRV, "SRV")
    number = len(names.asked)
    with pytest.raises(ResolverFailure, match="a moment ago"):
        await asking.look_up(SRV, "SRV")
    assert len(names.asked) == number
    names.rcode = None
    clock.now += 1.1
    assert await asking.look_up(SRV, "SRV") == ()


async def test_a_resolver_that_is_silent_is_given_up(names: Names) -> None:
    names.silent = True
    asking = await resolver(names, Clock(), seconds=0.2)
    with pytest.raises(ResolverFailure, match="in time"):
        await asking.look_up(SRV, "SRV")


async def test_those_who_ask_the_same_share_one_question(names: Names) -> None:
    names.zone[SRV, "SRV"] = ["10 20 5269 xmpp.partner.example."]
    asking = await resolver(names, Clock())
    await asyncio.gather(*(asking.look_up(name, "SRV") for name in (SRV, SRV.upper(), SRV + ".")))
    assert len(names.asked) == 1


async def test_the_cache_is_bounded(names: Names) -> None:
    asking = await resolver(names, Clock(), entries=3)
    for number in range(10):
        await asking.look_up(f"n{number}.example", "A")
    await asking.look_up("n9.example", "A")
    assert len(names.asked) == 10
    await asking.look_up("n0.example", "A")
    assert len(names.asked) == 11
