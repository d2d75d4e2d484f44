"""A DNS server of a few lines on a loopback port: what the resolver under test asks."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class Names(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.ttl = 60
        self.rcode: dns.rcode.Rcode | None = None
        self.silent = False
        self.asked: list[tuple[str, str]] = []
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return int(self._transport.get_extra_info("sockname")[1])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        records = self.zone.get((name, kind))
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif records:
            answer.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *records))
        else:
            if not any(known == name for known, _ in self.zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            soa = f"ns.example. admin.example. 1 60 60 60 {self.ttl}"
            answer.authority.append(dns.rrset.from_text("example.", self.ttl, "IN", "SOA", soa))
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), address)
