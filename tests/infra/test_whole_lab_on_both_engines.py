"""The whole `lab` stack on each engine in turn, every host of it: what stands and what is told is the same."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import dns.query
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest
import yaml

from lab_provider import image, machines, namespace
from lab_provider.places import ROOT, Places

from .conftest import ENGINES, need
from .stack import HOSTS, PROGRAM, Stack

pytestmark = [pytest.mark.infra, pytest.mark.slow]

PEM = r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----"
RANDOM = re.compile(PEM + r"|ssh-ed25519 [\w+/=]+|\b[0-9a-f]{64}\b", re.DOTALL)
"""Certificates, host keys and fingerprints: made anew for every lab."""
PRIMARY = "203.0.113.53"
SIGNING = {"RRSIG", "DNSKEY", "NSEC", "NSEC3", "NSEC3PARAM", "CDS", "CDNSKEY", "SOA"}
"""What a signing server adds by itself, with keys and serials of its own."""


@dataclass(frozen=True)
class Standing:
    """What there is when a lab is up."""

    running: set[str]
    addresses: dict[str, list[str]]
    records: dict[str, list[str]]
    rules: str
    outputs: str


def configured_hosts() -> list[str]:
    found = yaml.safe_load((PROGRAM / "Pulumi.lab.yaml").read_text(encoding="utf-8"))["config"]["xmppgw:hosts"]
    return list(found)


def addresses(places: Places, host: str) -> list[str]:
    """The addresses of a host, as its kernel tells them; what `scope` leaves out is an empty object in the JSON."""
    said = json.loads(machines.run_on(places, host, ["ip", "-json", "address", "show", "scope", "global"]))
    return sorted(f"{item['local']}/{item['prefixlen']}" for link in said for item in link.get("addr_info", ()) if item)


def records(places: Places, zone: str) -> list[str]:
    """A zone, as its primary transfers it."""
    secret = json.loads((places.lab / "secrets.json").read_text(encoding="utf-8"))["tsig/lab-update"]
    found = dns.zone.Zone(zone)
    query, _ = dns.xfr.make_query(found, serial=None)
    query.use_tsig(dns.tsig.Key("lab-update", secret, "hmac-sha256"))
    namespace.call(places.namespace, lambda: dns.query.inbound_xfr(PRIMARY, found, query, lifetime=20))
    return sorted(
        f"{name} {item.ttl} {dns.rdatatype.to_text(item.rdtype)} {data}"
        for name, item in found.iterate_rdatasets()
        for data in item
        if dns.rdatatype.to_text(item.rdtype) not in SIGNING
    )


def told(stack: Stack) -> str:
    """The stack's outputs, without what is random and without the names of this very lab."""
    text = json.dumps(stack.outputs(), sort_keys=True, indent=1).replace("\\n", "\n")
    for own in (str(stack.places.lab), str(stack.places.lab.relative_to(ROOT)), stack.places.namespace):
        text = text.replace(own, "this lab")
    return RANDOM.sub("random", text)


def standing(stack: Stack) -> Standing:
    places, hosts = stack.places, configured_hosts()
    running = {host for host in hosts if machines.running(places, host) is not None}
    zones = stack.outputs()["dns"]["zones"]  # type: ignore[index]
    assert running == set(stack.outputs()["hosts"])  # type: ignore[call-overload]
    return Standing(
        running,
        {host: addresses(places, host) for host in sorted(running)},
        {zone: records(places, zone) for zone in zones},
        machines.run_on(places, "fw1", ["nft", "--stateless", "list", "table", "inet", "filter"]),
        told(stack),
    )


def test_both_engines_make_the_same_lab_and_take_it_down(tmp_path: Path) -> None:
    """And on each a second `up` changes nothing."""
    for engine in ENGINES:
        need(engine)
    cache = Path(os.environ.get("XMPPGW_CACHE_DIR") or ROOT / ".cache")
    image.bake(cache)
    found: dict[str, Standing] = {}
    for engine in ENGINES:
        lab = ROOT / ".cache" / f"infra-test-whole-{engine}-{os.getpid()}"
        stack = Stack(engine, Places(lab, cache, f"who{engine[0]}{os.getpid() % 100000}"), tmp_path / engine)
        stack.hosts = configured_hosts()
        try:
            stack.up()
            found[engine] = standing(stack)
            again = stack.up()
            assert set(again.counts) == {"same"}, again.text
            assert stack.run("destroy").status == 0
            assert stack.traces() == []
        finally:
            stack.remove()
    one, other = (found[engine] for engine in ENGINES)
    assert len(one.running) > len(HOSTS)
    assert all(one.records.values())
    assert one == other
