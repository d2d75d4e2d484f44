"""TCP connections to where a partner's servers are: targets in their order, each next one 250 ms after the one before.

Called by `edge.outbound` and `edge.dialback`, and by `edge.splice` and `edge.relay` for the legacy gateway. RFC 6120
3.2 says which targets, RFC 8305 how they are tried: IPv6 and IPv4 alternate, whichever connects first is used. Never
dials a loopback or link-local address that DNS named: only the configuration may name such a one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from xmppgw.edge.partners import Partner
from xmppgw.edge.resolver import Resolver, ResolverFailure
from xmppgw.edge.settings import StaticTarget
from xmppgw.link.connection import Connection
from xmppgw.xmpp.address import AddressError, domain_to_ascii
from xmppgw.xmpp.srv import NoService, SrvRecord, plan_connection

#: Addresses tried for one stream, all targets together.
MAXIMUM_ATTEMPTS = 16


class CannotConnect(Exception):  # noqa: N818 - an outcome
    """No connection.

    `condition` is the stanza error of RFC 6120 10.4.3; `temporary`: it may work later; `stage`: `resolve` or `connect`.
    """

    def __init__(self, condition: str, text: str, *, temporary: bool, stage: str = "resolve") -> None:
        super().__init__(text)
        self.stage = stage
        self.condition = condition
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class Address:
    """One thing to dial."""

    host: str
    port: int
    #: The name it came from, for the log.
    name: str


class Dialer:
    """Finds and tries a partner's addresses. `resolver` may be None when every partner has static addresses."""

    def __init__(self, resolver: Resolver | None, *, connect_seconds: float, delay_seconds: float) -> None:
        self._resolver = resolver
        self._connect_seconds = connect_seconds
        self._delay = delay_seconds

    async def addresses(self, partner: Partner, domain: str) -> AsyncIterator[Address]:
        """Yield what to dial for `domain` of `partner`, best first. Raises CannotConnect if there is nothing."""
        number = 0
        failures: list[str] = []
        async for host, port, static in self._targets(partner, domain):
            try:
                found = await self._host_addresses(host, static)
            except ResolverFailure as failure:
                failures.append(str(failure))
                continue
            for address in found:
                number += 1
                if number > MAXIMUM_ATTEMPTS:
                    return
                yield Address(address, port, host)
        if number == 0:
            if failures:
                raise CannotConnect("remote-server-timeout", "; ".join(failures), temporary=True)
            raise CannotConnect("remote-server-not-found", f"{domain} has no usable address", temporary=False)

    async def configured(self, targets: Sequence[StaticTarget]) -> AsyncIterator[Address]:
        """Yield the addresses of `targets`, in their order. Raises CannotConnect if there is none."""
        found = False
        failures: list[str] = []
        for target in targets:
            try:
                addresses = await self._host_addresses(target.host, static=True)
            except ResolverFailure as failure:
                failures.append(str(failure))
                continue
            for address in addresses:
                found = True
                yield Address(address, target.port, target.host)
        if not found:
            text = "; ".join(failures) or "none of the configured names has an address"
            raise CannotConnect("remote-server-timeout", text, temporary=True)

    async def _targets(self, partner: Partner, domain: str) -> AsyncIterator[tuple[str, int, bool]]:
        if partner.settings.addresses:
            for target in partner.settings.addresses:
                yield target.host, target.port, True
            return
        if self._resolver is None:
            raise CannotConnect("remote-server-not-found", "no resolver is configured", temporary=False)
        try:
            ascii_domain = domain_to_ascii(domain)
            records = await self._resolver.look_up(f"_xmpp-server._tcp.{ascii_domain}", "SRV")
        except AddressError as error:
            raise CannotConnect("remote-server-not-found", f"{domain}: {error}", temporary=False) from None
        except ResolverFailure as failure:
            # Falling back to the address record here would dial whoever that is whenever DNS hiccups.
            raise CannotConnect("remote-server-timeout", str(failure), temporary=True) from None
        parsed = [record for record in map(_srv_record, records) if record is not None]
        try:
            plan = plan_connection(ascii_domain, parsed, [secrets.randbelow(2**53) / 2**53 for _ in parsed])
        except NoService as refusal:
            raise CannotConnect("remote-server-not-found", str(refusal), temporary=False) from None
        for chosen in plan:
            yield chosen.host, chosen.port, False

    async def _host_addresses(self, host: str, static: bool) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        if self._resolver is None:
            raise ResolverFailure(f"{host}: no resolver is configured")
        answers = await asyncio.gather(
            self._resolver.look_up(host, "AAAA"), self._resolver.look_up(host, "A"), return_exceptions=True
        )
        problems = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(problems) == len(answers):
            raise problems[0]
        six, four = (() if isinstance(answer, BaseException) else answer for answer in answers)
        mixed: list[str] = []
        for number in range(max(len(six), len(four))):
            mixed += [each[number] for each in (six, four) if number < len(each)]
        return mixed if static else [address for address in mixed if _may_be_public(address)]

    async def connect(self, addresses: AsyncIterator[Address], make: Callable[[], Connection]) -> Connection:
        """Return the first connection that comes up, trying `addresses` until one does.

        What remains in `addresses` has not been tried. Raises CannotConnect when all have failed.
        """
        attempts: dict[asyncio.Task[Connection], Address] = {}
        problems: list[str] = []
        exhausted = False
        try:
            while True:
                if not exhausted:
                    try:
                        address = await anext(addresses)
                    except StopAsyncIteration:
                        exhausted = True
                    else:
                        attempts[asyncio.create_task(self._attempt(address, make))] = address
                if not attempts:
                    text = "; ".join(problems) or "no address"
                    raise CannotConnect("remote-server-timeout", text, temporary=True, stage="connect")
                done, _ = await asyncio.wait(
                    attempts, timeout=None if exhausted else self._delay, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    address = attempts.pop(task)
                    try:
                        return task.result()
                    except (OSError, TimeoutError) as error:
                        problems.append(f"{address.host} port {address.port}: {_reason(error)}")
        finally:
            for task in attempts:
                task.add_done_callback(_abandon)
                task.cancel()

    async def _attempt(self, address: Address, make: Callable[[], Connection]) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_seconds):
            _, connection = await loop.create_connection(make, address.host, address.port)
        return connection


def _abandon(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


def _srv_record(text: str) -> SrvRecord | None:
    words = text.split()
    if len(words) != 4 or not all(word.isdigit() for word in words[:3]):
        return None
    return SrvRecord(int(words[0]), int(words[1]), int(words[2]), words[3])


def _may_be_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
