"""Which addresses are dialled for a partner, in which order, and which never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import dns.rcode
import pytest
from tests.unit.edge.names import Names

from xmppgw.edge.dialing import Address, CannotConnect, Dialer
from xmppgw.edge.partners import Partner, policy_of
from xmppgw.edge.resolver import Resolver
from xmppgw.edge.settings import PartnerSettings, StaticTarget
from xmppgw.link.connection import Connection

DOMAIN = "partner.example"
SRV = f"_xmpp-server._tcp.{DOMAIN}"


def partner(*static: StaticTarget) -> Partner:
    settings = PartnerSettings(DOMAIN, addresses=static)
    return Partner(DOMAIN, (DOMAIN,), settings, policy_of(settings))


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    made = Names()
    yield made
    made.close()


async def dialer(names: Names) -> Dialer:
    return Dialer(Resolver(["127.0.0.1"], await names.start(), seconds=60.0), connect_seconds=60.0, delay_seconds=0.02)


async def found(dialer: Dialer, who: Partner | None = None) -> list[tuple[str, int]]:
    return [(each.host, each.port) async for each in dialer.addresses(who or partner(), DOMAIN)]


async def test_targets_by_priority_and_both_families_in_turn(names: Names) -> None:
    names.zone = {
        (SRV, "SRV"): ["20 0 5270 second.example.", "10 0 5269 first.example."],
        ("first.example", "A"): ["198.51.100.1", "198.51.100.2"],
        ("first.example", "AAAA"): ["2001:db8::1"],
        ("second.example", "A"): ["198.51.100.3"],
    }
    first, *middle, last = await found(await dialer(names))
    assert (first, last) == (("2001:db8::1", 5269), ("198.51.100.3", 5270))
    # A server may give records of one name in any order.
    assert sorted(middle) == [("198.51.100.1", 5269), ("198.51.100.2", 5269)]


async def test_without_srv_records_the_domain_itself(names: Names) -> None:
    names.zone[DOMAIN, "A"] = ["198.51.100.9"]
    assert await found(await dialer(names)) == [("198.51.100.9", 5269)]


async def test_a_dot_means_that_there_is_no_service(names: Names) -> None:
    names.zone = {(SRV, "SRV"): ["0 0 0 ."], (DOMAIN, "A"): ["198.51.100.9"]}
    with pytest.raises(CannotConnect) as refusal:
        await found(await dialer(names))
    assert (refusal.value.condition, refusal.value.temporary) == ("remote-server-not-found", False)


async def test_no_fall_back_when_dns_fails(names: Names) -> None:
    names.rcode = dns.rcode.SERVFAIL
    with pytest.raises(CannotConnect) as refusal:
        await found(await dialer(names))
    assert (refusal.value.condition, refusal.value.temporary) == ("remote-server-timeout", True)
    assert {name for name, _ in names.asked} == {SRV}


async def test_a_domain_that_does_not_exist(names: Names) -> None:
    with pytest.raises(CannotConnect) as refusal:
        await found(await dialer(names))
    assert (refusal.value.condition, refusal.value.temporary) == ("remote-server-not-found", False)


@pytest.mark.parametrize(
    ("kind", "address"),
    [("A", "127.0.0.1"), ("A", "169.254.1.1"), ("A", "0.0.0.0"), ("AAAA", "::1"), ("AAAA", "::ffff:127.0.0.1")],
)
async def test_dns_cannot_send_us_to_ourselves(names: Names, kind: str, address: str) -> None:
    names.zone = {(SRV, "SRV"): ["0 0 5432 evil.example."], ("evil.example", kind): [address]}
    with pytest.raises(CannotConnect):
        await found(await dialer(names))


async def test_a_configured_address_wins_and_dns_is_not_asked(names: Names) -> None:
    who = partner(StaticTarget("127.0.0.1", 5555), StaticTarget("198.51.100.4"))
    assert await found(await dialer(names), who) == [("127.0.0.1", 5555), ("198.51.100.4", 5269)]
    assert names.asked == []


async def listening() -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])


async def given(addresses: Sequence[Address]) -> AsyncIterator[Address]:
    for address in addresses:
        yield address


async def test_a_closed_port_costs_no_delay_and_the_next_is_used() -> None:
    server, port = await listening()
    closed, closed_port = await listening()
    closed.close()
    trying = Dialer(None, connect_seconds=60.0, delay_seconds=3600.0)
    addresses = given([Address("127.0.0.1", closed_port, "closed"), Address("127.0.0.1", port, "open")])
    async with asyncio.timeout(60.0):
        connection = await trying.connect(addresses, Connection)
    assert connection.peer_port == port
    connection.abort()
    server.close()


async def test_an_address_that_does_not_answer_delays_the_next_only_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = await listening()
    trying = Dialer(None, connect_seconds=30.0, delay_seconds=0.02)
    attempt = trying._attempt
    cancelled = asyncio.get_running_loop().create_future()

    async def silent(address: Address, make: type[Connection]) -> Connection:
        if address.name == "silent":
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.set_result(None)
                raise
        return await attempt(address, make)

    monkeypatch.setattr(trying, "_attempt", silent)
    addresses = given([Address("198.51.100.1", 1, "silent"), Address("127.0.0.1", port, "open")])
    async with asyncio.timeout(60.0):
        connection = await trying.connect(addresses, Connection)
        await cancelled
    assert connection.peer_port == port
    connection.abort()
    server.close()


async def test_when_all_fail_the_reasons_are_all_named() -> None:
    ports = []
    for _ in range(2):
        server, port = await listening()
        server.close()
        ports.append(port)
    trying = Dialer(None, connect_seconds=60.0, delay_seconds=0.02)
    with pytest.raises(CannotConnect) as refusal:
        await trying.connect(given([Address("127.0.0.1", port, "x") for port in ports]), Connection)
    assert all(f"port {port}" in str(refusal.value) for port in ports)
    assert refusal.value.stage == "connect"
