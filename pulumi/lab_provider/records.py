"""Resources Zone and RecordSet: RFC 2136 updates to the lab's primary, signed (TSIG), sent inside the namespace.

A RecordSet is a whole RRset. The SRV RRset is made once and then left alone: the migration is its writer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import msgspec

from lab_provider import namespace, vault
from lab_provider.kinds import Kind, Made, Properties, ResourceError

ANSWER_SECONDS = 2.0  # one question; the server is three links away
ZONE_SECONDS = 20.0  # until a freshly booted server has loaded its zones and the secondary has transferred them
POLL_SECONDS = 0.1
Result = TypeVar("Result")


class ZoneInputs(msgspec.Struct, forbid_unknown_fields=True):
    """A zone of the servers' own configuration; `servers_identity` changes when the primary is made anew."""

    zone: str
    primary: str
    authoritative: list[str]
    servers_identity: str


class RecordSetInputs(msgspec.Struct, forbid_unknown_fields=True):
    """One RRset in presentation form; `zone_id` is the Zone's id, so that a zone made anew gets its records anew."""

    zone_id: str
    zone: str
    primary: str
    authoritative: list[str]
    name: str
    type: str
    ttl: int
    records: list[str]
    key: str
    algorithm: str = "hmac-sha256"


class Zone(Kind[ZoneInputs]):
    """A zone, adopted from its servers: making it means waiting until every authoritative server answers for it."""

    inputs_type = ZoneInputs
    replaced_by = frozenset({"zone", "primary", "servers_identity"})

    def create(self, name: str, inputs: ZoneInputs) -> Made:
        """Wait for the SOA on every authoritative server."""
        limit = time.monotonic() + ZONE_SECONDS
        question = dns.message.make_query(inputs.zone, dns.rdatatype.SOA)
        for server in inputs.authoritative:
            seen = "no answer"
            while True:
                try:
                    answer = self._ask(question, server, 0.5)
                    seen = dns.rcode.to_text(answer.rcode())
                    if answer.rcode() == dns.rcode.NOERROR and answer.answer:
                        break
                except (OSError, dns.exception.DNSException) as problem:
                    seen = str(problem) or type(problem).__name__
                if time.monotonic() > limit:
                    raise ResourceError(f"{server} does not serve {inputs.zone} after {ZONE_SECONDS:.0f} s: {seen}")
                time.sleep(POLL_SECONDS)
        identity = f"{inputs.zone}@{inputs.servers_identity}"
        return Made(identity, {})

    def update(self, identity: str, old: ZoneInputs, new: ZoneInputs) -> Made:
        """Other secondaries: wait for those."""
        return self.create(identity, new)

    def read(self, identity: str, inputs: ZoneInputs, outputs: Properties) -> Properties | None:
        """A zone lives and dies with its servers."""
        return outputs

    def delete(self, identity: str, inputs: ZoneInputs) -> None:
        """Nothing: the servers' configuration holds the zone."""

    def _ask(self, question: dns.message.Message, server: str, seconds: float) -> dns.message.Message:
        return _inside(self, lambda: dns.query.udp(question, server, timeout=seconds))


class RecordSet(Kind[RecordSetInputs]):
    """One RRset of a zone."""

    inputs_type = RecordSetInputs
    replaced_by = frozenset({"zone_id", "zone", "primary", "name", "type"})

    def create(self, name: str, inputs: RecordSetInputs) -> Made:
        """Put the RRset in place of whatever stands there, then read it back from every authoritative server.

        Whoever asks a secondary too early is told that there is none, and resolvers remember that.
        """
        update = self._update(inputs)
        owner = dns.name.from_text(inputs.name)
        update.replace(owner, inputs.ttl, inputs.type, *inputs.records)
        self._send(update, inputs)
        wanted = dns.rrset.from_text_list(inputs.name, inputs.ttl, "IN", inputs.type, inputs.records)
        limit = time.monotonic() + ZONE_SECONDS
        for server in (inputs.primary, *inputs.authoritative):
            while (seen := self._query(inputs, server)) is None or set(seen) != set(wanted):
                if server == inputs.primary or time.monotonic() > limit:
                    told = f"{inputs.primary} took the update of {inputs.name} {inputs.type}"
                    raise ResourceError(f"{told} but {server} answers {seen}")
                time.sleep(POLL_SECONDS)
        return Made(f"{inputs.name}/{inputs.type}@{inputs.zone_id.partition('@')[2]}", {})

    def update(self, identity: str, old: RecordSetInputs, new: RecordSetInputs) -> Made:
        """As creating: the whole RRset is replaced by one message. Without other records nothing is written."""
        if (new.ttl, new.records) == (old.ttl, old.records):
            return Made(identity, {})
        return self.create(identity, new)

    def read(self, identity: str, inputs: RecordSetInputs, outputs: Properties) -> Properties | None:
        """Gone when the primary answers that there is none; a primary that does not answer changes nothing."""
        try:
            seen = self._query(inputs, inputs.primary, seconds=0.5)
        except (OSError, dns.exception.DNSException, namespace.NamespaceError, ResourceError):
            return outputs
        return outputs if seen is not None else None

    def delete(self, identity: str, inputs: RecordSetInputs) -> None:
        """Remove the RRset; a primary that is gone took it along."""
        update = self._update(inputs)
        update.delete(dns.name.from_text(inputs.name), inputs.type)
        try:
            self._send(update, inputs)
        except (OSError, dns.exception.DNSException, namespace.NamespaceError):
            return

    def _update(self, inputs: RecordSetInputs) -> dns.update.UpdateMessage:
        secret = vault.value(self.places, f"tsig/{inputs.key}")
        key = dns.tsig.Key(inputs.key, secret, inputs.algorithm)
        return dns.update.UpdateMessage(inputs.zone, keyring=key)

    def _send(self, update: dns.update.UpdateMessage, inputs: RecordSetInputs) -> None:
        answer = _inside(self, lambda: dns.query.tcp(update, inputs.primary, timeout=ANSWER_SECONDS))
        if answer.rcode() != dns.rcode.NOERROR:
            code = dns.rcode.to_text(answer.rcode())
            raise ResourceError(f"{inputs.primary} refused the update of {inputs.name} {inputs.type}: {code}")

    def _query(self, inputs: RecordSetInputs, server: str, seconds: float = ANSWER_SECONDS) -> dns.rrset.RRset | None:
        question = dns.message.make_query(inputs.name, inputs.type)
        answer = _inside(self, lambda: dns.query.udp(question, server, timeout=seconds))
        # SERVFAIL and REFUSED say nothing about the RRset; taking them for absence would write the first SRV again.
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ResourceError(f"{server} answers {dns.rcode.to_text(answer.rcode())} to {inputs.name}")
        owner, kind = dns.name.from_text(inputs.name), dns.rdatatype.from_text(inputs.type)
        return answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, kind)


def _inside(kind: Zone | RecordSet, function: Callable[[], Result]) -> Result:
    if not namespace.exists(kind.places.namespace):
        raise namespace.NamespaceError(f"there is no namespace {kind.places.namespace}")
    return namespace.call(kind.places.namespace, function)
