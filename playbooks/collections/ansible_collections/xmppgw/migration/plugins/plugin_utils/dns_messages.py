"""Makes and reads the DNS messages of the migration: questions, answers, and one compare-and-swap update.

Used on the controller only, by the actions `observe`, `plan` and `dns_rrset` (it needs dnspython). It sends nothing:
bytes
go through `dns_exchange` on the DNS writer. The TSIG secret therefore never leaves the controller.
"""

from __future__ import annotations

import base64

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update

PORT = 53


class DnsError(Exception):
    """A server's answer that cannot be used; the text says which and why."""

    code = "migration-unreachable"


def zone_of(name, zones):
    """Return the longest of `zones` that contains `name`; raise DnsError."""
    owner = dns.name.from_text(name)
    holding = [zone for zone in zones if owner.is_subdomain(dns.name.from_text(zone))]
    if not holding:
        raise DnsError(f"{name} is in none of the zones {', '.join(sorted(zones))}")
    return max(holding, key=len)


def question(server, name, kind):
    """Return a packet that asks an authoritative server for one RRset."""
    query = dns.message.make_query(name, kind, flags=0)
    return {"server": server, "port": PORT, "message": base64.b64encode(query.to_wire()).decode()}


def question_to_resolver(server, name, kind, *, checking_disabled=False):
    """Return a packet that asks a resolver, and to say whether it validated the answer (RFC 6840 section 5.7)."""
    flags = dns.flags.RD | dns.flags.AD | (dns.flags.CD if checking_disabled else 0)
    query = dns.message.make_query(name, kind, flags=flags, want_dnssec=True)
    return {"server": server, "port": PORT, "message": base64.b64encode(query.to_wire()).decode()}


def question_for_signatures(server, name, kind):
    """Return a packet that asks an authoritative server for an RRset with its signatures."""
    query = dns.message.make_query(name, kind, flags=0, want_dnssec=True)
    return {"server": server, "port": PORT, "message": base64.b64encode(query.to_wire()).decode()}


def read_answer(answer, name, kind):
    """Return {rcode, rrset, validated, signed} of any server's answer; raise DnsError where there is none."""
    message = _decode(answer)
    owner, wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
    found = next((rrset for rrset in message.answer if rrset.name == owner and rrset.rdtype == wanted), None)
    signatures = [
        rrset
        for rrset in message.answer
        if rrset.name == owner and rrset.rdtype == dns.rdatatype.RRSIG and rrset.covers == wanted
    ]
    return {
        "rcode": dns.rcode.to_text(message.rcode()),
        "rrset": None
        if found is None
        else {"ttl": found.ttl, "records": sorted(rdata.to_text().lower() for rdata in found)},
        "validated": bool(message.flags & dns.flags.AD),
        "signed": bool(signatures),
    }


def _decode(answer, **how):
    if "error" in answer:
        raise DnsError(answer["error"])
    try:
        return dns.message.from_wire(base64.b64decode(answer["answer"]), **how)
    except dns.exception.DNSException as error:
        raise DnsError(f"unreadable answer: {error or type(error).__name__}") from error


def read_rrset(answer, name, kind):
    """Return {rrset, serial, negative_ttl} from an answer. rrset is {ttl, records} or None where there is none.

    serial and negative_ttl (the lesser of the SOA's TTL and its minimum, RFC 2308 section 5) are there when the answer
    carried the zone's SOA.
    """
    message = _decode(answer)
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise DnsError(f"{name} {kind}: {dns.rcode.to_text(message.rcode())}")
    if not message.flags & dns.flags.AA:
        raise DnsError(f"{name} {kind}: the server is not authoritative for it")
    owner, wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
    if [(asked.name, asked.rdtype) for asked in message.question] != [(owner, wanted)]:
        raise DnsError(f"{name} {kind}: the server answered another question")
    if message.flags & dns.flags.TC:
        raise DnsError(f"{name} {kind}: the answer is cut off, though it came over TCP")
    found = next((rrset for rrset in message.answer if rrset.name == owner and rrset.rdtype == wanted), None)
    seen = {"rrset": None, "serial": None, "negative_ttl": None}
    if found is not None:
        seen["rrset"] = {"ttl": found.ttl, "records": sorted(rdata.to_text().lower() for rdata in found)}
    for rrset in [*message.answer, *message.authority]:
        if rrset.rdtype == dns.rdatatype.SOA:
            seen["serial"], seen["negative_ttl"] = rrset[0].serial, min(rrset.ttl, rrset[0].minimum)
            seen["soa"] = rrset[0].to_text()
    return seen


def swap(zone, name, before, after, *, soa, key):
    """Return (packet without its server, reader) of one update that replaces an SRV RRset only if nothing changed
    since.

    `before`, `after`: {ttl, records} or None; `soa`: the zone's SOA as it was read. Prerequisites (RFC 2136 section
    2.4)
    are the whole RRset and the whole SOA: compare and swap. `key`: {name, algorithm, secret}.
    """
    keyring = dns.tsigkeyring.from_text({key["name"]: (_algorithm(key["algorithm"]), key["secret"])})
    update = dns.update.UpdateMessage(zone, keyring=keyring, keyname=dns.name.from_text(key["name"]))
    owner = dns.name.from_text(name)
    update.present(dns.name.from_text(zone), dns.rrset.from_text(zone, 0, "IN", "SOA", soa)[0])
    if before is None:
        update.absent(owner, "SRV")
    else:
        for record in before["records"]:
            update.present(owner, "SRV", record)
    update.delete(owner, "SRV")
    if after is not None:
        for record in after["records"]:
            update.add(owner, after["ttl"], "SRV", record)
    message = base64.b64encode(update.to_wire()).decode()

    def read(answer):
        reply = _decode(answer, keyring=update.keyring, request_mac=update.mac)
        return dns.rcode.to_text(reply.rcode())

    return {"port": PORT, "message": message}, read


def _algorithm(name):
    return {
        "hmac-sha256": dns.tsig.HMAC_SHA256,
        "hmac-sha384": dns.tsig.HMAC_SHA384,
        "hmac-sha512": dns.tsig.HMAC_SHA512,
    }[name]


def lines(name, rrset):
    """Return an RRset as zone-file lines for --diff."""
    if rrset is None:
        return ""
    return "".join(f"{name}. {rrset['ttl']} IN SRV {record}\n" for record in rrset["records"])
