"""A zone that somebody else serves is refused before anything is made, unless that is known."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from tests.unit.azure.conftest import example
from tests.unit.azure.test_config import Values

from xmpp_infra.azure.config import DnsZone
from xmpp_infra.azure.delegation import DelegationUnknownError, delegation_problems, name_servers
from xmpp_infra.azure.reading import azure_config
from xmpp_infra.config import ConfigurationError

AZURE = frozenset({"ns1-01.azure-dns.com", "ns2-01.azure-dns.net"})
ELSEWHERE = frozenset({"ns1.registrar.example"})


@pytest.mark.parametrize(
    ("servers", "zone", "refused"),
    [
        (AZURE, DnsZone(), False),
        (frozenset(), DnsZone(), False),
        (ELSEWHERE, DnsZone(), True),
        (AZURE | ELSEWHERE, DnsZone(), True),
        (ELSEWHERE, DnsZone(delegation="later"), False),
        (ELSEWHERE, DnsZone(mode="adopt", resource_group="rg-dns"), True),
        (frozenset({"ns1.azure-dns.com.evil.example"}), DnsZone(), True),
    ],
)
def test_who_serves_a_zone_decides(servers: frozenset[str], zone: DnsZone, refused: bool) -> None:
    found = delegation_problems({"contoso.example": zone}, lambda _: servers)
    assert bool(found) == refused
    assert all("delegation: later" in sentence for sentence in found), "what to do is said"


def test_nobody_is_asked_about_a_zone_that_is_delegated_later() -> None:
    def ask(zone: str) -> frozenset[str]:
        raise AssertionError(f"asked about {zone}")

    assert delegation_problems({"contoso.example": DnsZone(delegation="later")}, ask) == []


def test_a_stack_with_such_a_zone_is_refused_with_everything_else_and_a_preview_asks_nobody() -> None:
    config = example("azure-dev")
    with pytest.raises(ConfigurationError, match=r"delegated to ns1\.registrar\.example"):
        azure_config(Values(config), "azure-dev", "/", lambda _: ELSEWHERE)
    azure_config(Values(config), "azure-dev", "/", None)


class _Server(socketserver.ThreadingUDPServer):
    replies: dict[str, tuple[int, list[str]]]


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        data, connection = self.request
        question = dns.message.from_wire(data)
        name = question.question[0].name
        code, targets = self.server.replies[name.to_text(omit_final_dot=True)]
        reply = dns.message.make_response(question)
        reply.set_rcode(dns.rcode.Rcode(code))
        if targets:
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", "NS", *targets))
        connection.sendto(reply.to_wire(), self.client_address)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    ours = dns.resolver.Resolver(configure=False)
    ours.nameservers, ours.port = ["127.0.0.1"], server.server_address[1]
    monkeypatch.setattr(dns.resolver, "default_resolver", ours)
    monkeypatch.setattr("xmpp_infra.azure.delegation.SECONDS", 5.0)
    yield server
    server.shutdown()
    server.server_close()


def test_the_resolver_is_asked(resolver: _Server) -> None:
    resolver.replies = {
        "here.example": (0, ["NS1-01.Azure-DNS.com."]),
        "absent.example": (3, []),
        "empty.example": (0, []),
        "broken.example": (2, []),
    }
    assert name_servers("here.example") == {"ns1-01.azure-dns.com"}
    assert name_servers("absent.example") == name_servers("empty.example") == frozenset()
    with pytest.raises(DelegationUnknownError, match=r"broken\.example.*delegation: later"):
        name_servers("broken.example")
