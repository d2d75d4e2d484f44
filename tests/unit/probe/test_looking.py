"""Looking from outside: what is there is read, what cannot be seen is named, and nothing is made up."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.probe.lab_of_paper import Paper

from xmppgw.federation import Federation, load_document
from xmppgw.probe import looking
from xmppgw.probe.hosts import Hosts, read_outputs

DOCUMENT = Path(__file__).parents[3] / "inventories/lab/group_vars/all/federation.yml"
SRV = "_xmpp-server._tcp.corp.example"


@pytest.fixture(scope="module")
def federation() -> Federation:
    return load_document(DOCUMENT).federation


@pytest.fixture
def hosts(paper: Paper) -> Iterator[Hosts]:
    with Hosts(read_outputs(paper.folder / ".lab" / "outputs.json"), paper.folder) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corp.example")])
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_every_server_is_asked_by_its_own_address(paper: Paper, hosts: Hosts, federation: Federation) -> None:
    first = f"{SRV}. 15 IN SRV 20 0 5269 b.\n{SRV}. 15 IN SRV 10 0 5269 a.\n; a comment\n"
    paper.says(
        {"host": "users", "says": f"@203.0.113.53 +noall +answer +timeout=3 {SRV} ", "out": first},
        {"host": "users", "says": f"@203.0.113.54 +noall +answer +timeout=3 {SRV} ", "err": "no answer", "status": 1},
        {"host": "users", "says": "kdig", "out": ""},
    )
    seen, unseen = looking.look(hosts, federation)
    assert [(each.server, each.name, each.ttl, each.records) for each in seen.dns] == [
        ("203.0.113.53", f"{SRV}.", 15, ("10 0 5269 a.", "20 0 5269 b."))
    ]
    assert "DNS at 203.0.113.54: users: no answer" in unseen


def test_certificates_are_read_where_they_are_served_and_where_they_lie(
    paper: Paper, hosts: Hosts, federation: Federation, pem: str
) -> None:
    paper.says(
        {"host": "partner1", "says": "198.51.100.10:5269", "out": f"CONNECTED\n{pem}"},
        {"host": "edge1", "says": "/etc/xmppgw/tls", "out": f"== /etc/xmppgw/tls/link.crt\n{pem}== /x/bad.crt\nnone"},
    )
    seen, unseen = looking.look(hosts, federation)
    assert [(each.host, each.place) for each in seen.certificates] == [
        ("edge1", "served to partners on 5269"),
        ("edge1", "link"),
    ]
    # Nobody listens at the old gateway: a fact about the moment, nothing that could not be seen.
    assert not [line for line in unseen if "5269" in line or "legacy1" in line]


def test_a_certificate_that_is_damaged_is_named(paper: Paper, hosts: Hosts, federation: Federation) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    paper.says({"host": "fe1", "says": "/etc/xmppgw/tls", "out": f"== /etc/xmppgw/tls/sip.crt\n{broken}"})
    seen, unseen = looking.look(hosts, federation)
    assert seen.certificates == ()
    assert [line for line in unseen if line.startswith("certificate sip of fe1: ")]


def test_our_daemons_are_shown_with_their_memory(paper: Paper, hosts: Hosts, federation: Federation) -> None:
    paper.says(
        {"host": "edge1", "says": "xmppgw-edge.service", "out": "active 2048 kB\n"},
        {"host": "fe1", "says": "xmppgw-frontend.service", "out": "inactive \n"},
    )
    seen, _unseen = looking.look(hosts, federation)
    assert [(each.host, each.state, each.memory_bytes) for each in seen.services] == [
        ("edge1", "active", 2048 * 1024),
        ("fe1", "inactive", 0),
    ]


def test_where_no_host_answers_everything_is_named_and_nothing_is_made_up(
    paper: Paper, hosts: Hosts, federation: Federation
) -> None:
    seen, unseen = looking.look(hosts, federation)
    assert (seen.dns, seen.certificates, seen.services) == ((), (), ())
    for what in ("DNS at 203.0.113.53", "certificates on edge1", "certificates on fe1", "xmppgw-edge.service on edge1"):
        assert [line for line in unseen if line.startswith(what)], f"{what} is not named in {unseen}"


def test_a_host_is_described_by_what_it_runs(hosts: Hosts) -> None:
    found = {host.name: host for host in looking.describe_hosts(hosts)}
    assert sorted(found) == ["edge1", "fe1", "partner1", "users"]
    assert found["edge1"].runs == "our edge"
