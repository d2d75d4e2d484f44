"""TLS as a byte machine: handshakes with every kind of certificate, refusals, closing, limits, reload."""

from __future__ import annotations

from contextlib import suppress

import pytest
from OpenSSL import SSL
from tests.unit.tls.zoo import (
    CLIENT,
    DAY,
    NOW,
    SERVER,
    Authority,
    certificate_pem,
    der_chain,
    dns,
    key_pem,
    other_root,
    partner,
    root,
)

from xmppgw.tls.context import mutual_context, s2s_context
from xmppgw.tls.identity import CertificateProblem, Identity
from xmppgw.tls.memory import MAX_HANDSHAKE_BYTES, MemoryTls, TlsError
from xmppgw.tls.reload import ReloadableContext
from xmppgw.tls.verify import dns_peer


@pytest.fixture(scope="module")
def ours() -> Identity:
    return root().issue(dns("corp.example"), usages=[SERVER])


def both(name: str, authority: Authority | None = None, usages=(SERVER, CLIENT)) -> Identity:
    return (authority or root()).issue(dns(name), usages=list(usages))


def pump(client: MemoryTls, server: MemoryTls, step: int = 0) -> None:
    """Carry bytes both ways until nothing moves."""
    moved = True
    while moved:
        moved = False
        for source, target in ((client, server), (server, client)):
            data = source.data_to_send()
            for start in range(0, len(data), step or len(data) or 1):
                target.receive(data[start : start + (step or len(data))])
                moved = True


def pair(client: SSL.Context, server: SSL.Context, **more) -> tuple[MemoryTls, MemoryTls]:
    return MemoryTls(client, server_side=False, **more), MemoryTls(server, server_side=True)


@pytest.mark.parametrize(
    "kind", ["server only", "server and client", "client only", "self-signed", "expired", "unknown issuer", "no usage"]
)
def test_any_certificate_finishes_the_handshake_of_a_federation_stream(ours, kind):
    client, server = pair(s2s_context(partner(kind)), s2s_context(ours), server_name="corp.example")
    pump(client, server)
    assert client.handshake_done
    assert server.handshake_done
    assert server.peer_chain() == der_chain(partner(kind))
    assert client.peer_chain() == der_chain(ours)
    assert server.protocol == "TLSv1.3"
    assert server.cipher.startswith("TLS_")
    assert server.requested_name == "corp.example"


def test_no_certificate_is_seen_as_none(ours):
    client, server = pair(s2s_context(None), s2s_context(ours))
    pump(client, server)
    assert server.handshake_done
    assert server.peer_chain() == []


def test_intermediates_travel_along(ours):
    client, server = pair(s2s_context(partner("through an intermediate")), s2s_context(ours))
    pump(client, server)
    assert server.peer_chain() == der_chain(partner("through an intermediate"))


@pytest.mark.parametrize("step", [1, 7])
def test_bytes_may_come_one_by_one(ours, step):
    client, server = pair(s2s_context(partner("server only")), s2s_context(ours))
    pump(client, server, step)
    client.write(b"x" * 50_000)
    data = client.data_to_send()
    received = b"".join(server.receive(data[start : start + 1000]) for start in range(0, len(data), 1000))
    assert received == b"x" * 50_000


def test_tls_1_2_is_the_least(ours):
    old = s2s_context(partner("server only"))
    old.set_max_proto_version(SSL.TLS1_2_VERSION)
    client, server = pair(old, s2s_context(ours))
    pump(client, server)
    assert server.protocol == "TLSv1.2"
    assert server.cipher.startswith("ECDHE-")
    older = SSL.Context(SSL.TLS_METHOD)
    older.set_min_proto_version(SSL.TLS1_VERSION)
    older.set_max_proto_version(SSL.TLS1_1_VERSION)
    older.set_cipher_list(b"ALL:@SECLEVEL=0")
    with pytest.raises(TlsError):
        pump(*pair(older, s2s_context(ours)))


def test_static_rsa_is_not_negotiated(ours):
    client_context = SSL.Context(SSL.TLS_METHOD)
    client_context.set_max_proto_version(SSL.TLS1_2_VERSION)
    client_context.set_cipher_list(b"kRSA")
    with pytest.raises(TlsError):
        pump(*pair(client_context, s2s_context(ours)))


def test_the_peers_close_is_noticed(ours):
    client, server = pair(s2s_context(partner("server only")), s2s_context(ours))
    pump(client, server)
    client.write(b"last words")
    client.close()
    assert server.receive(client.data_to_send()) == b"last words"
    assert server.closed_by_peer
    assert not client.closed_by_peer


def test_a_damaged_record_is_an_error_and_stays_one(ours):
    client, server = pair(s2s_context(partner("server only")), s2s_context(ours))
    pump(client, server)
    client.write(b"hello")
    data = bytearray(client.data_to_send())
    data[-1] ^= 1
    with pytest.raises(TlsError):
        server.receive(bytes(data))
    with pytest.raises(TlsError):
        server.receive(b"")
    with pytest.raises(TlsError):
        server.write(b"x")


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"<stream:stream>", b"\x16\x03\x01\xff\xff" + b"\x00" * 99]
)
def test_what_is_not_tls_is_refused(ours, rubbish):
    server = MemoryTls(s2s_context(ours), server_side=True)
    with pytest.raises(TlsError) as error:
        for _ in range(100):
            server.receive(rubbish)
    assert error.value.reason


def test_a_handshake_without_end_is_cut():
    """A peer that never sends the rest of its first record is held to the byte limit."""
    server = MemoryTls(s2s_context(root().issue(dns("corp.example"))), server_side=True)
    with pytest.raises(TlsError):
        for _ in range(MAX_HANDSHAKE_BYTES // 1000 + 1):
            server.receive(b"\x16\x03\x01\x40\x00" + b"\x01\x00\x3f\xfc" + b"\x00" * 991)


def test_plaintext_before_the_handshake_is_our_bug(ours):
    with pytest.raises(ValueError, match="handshake"):
        MemoryTls(s2s_context(ours), server_side=True).write(b"x")


def test_renegotiation_is_refused(ours):
    old = s2s_context(partner("server only"))
    old.set_max_proto_version(SSL.TLS1_2_VERSION)
    client, server = pair(old, s2s_context(ours))
    pump(client, server)
    before = server._connection.total_renegotiations()
    with suppress(SSL.Error):
        client._connection.renegotiate()
        client._connection.do_handshake()
    with suppress(TlsError):
        pump(client, server)
    assert server._connection.total_renegotiations() == before


# --- mutual legs -----------------------------------------------------------------------------------------------------


def mutual(
    client: Identity, server: Identity, check=None, *, trust: bytes | None = None
) -> tuple[MemoryTls, MemoryTls]:
    authorities = trust or root().pem
    return (
        MemoryTls(mutual_context(client, authorities), server_side=False),
        MemoryTls(mutual_context(server, authorities), server_side=True, check_peer=check),
    )


def test_a_mutual_leg_opens_between_the_right_two():
    client, server = mutual(both("fe1.corp.example"), both("edge1.corp.example"), dns_peer(["fe1.corp.example"]))
    pump(client, server)
    client.write(b"hi")
    assert server.receive(client.data_to_send()) == b"hi"


def test_a_mutual_leg_refuses_another_name_before_any_plaintext():
    client, server = mutual(both("evil.corp.example"), both("edge1.corp.example"), dns_peer(["fe1.corp.example"]))
    server.receive(client.data_to_send())
    client.receive(server.data_to_send())
    client.write(b"secret")
    with pytest.raises(TlsError, match=r"names evil\.corp\.example, expected fe1\.corp\.example"):
        server.receive(client.data_to_send())


@pytest.mark.parametrize(
    "intruder",
    [
        both("fe1.corp.example", other_root()),
        both("fe1.corp.example", usages=(SERVER,)),
        root().issue(dns("fe1.corp.example"), usages=[SERVER, CLIENT], self_signed=True),
        root().issue(dns("fe1.corp.example"), usages=[SERVER, CLIENT], end=NOW - 20 * DAY),
    ],
    ids=["another authority", "server usage only", "self-signed", "expired"],
)
def test_a_mutual_leg_refuses_whoever_the_private_authority_does_not_vouch_for(intruder):
    client, server = mutual(intruder, both("edge1.corp.example"))
    with pytest.raises(TlsError, match=r"certificate|purpose|expired|issuer|signed"):
        pump(client, server)


def test_a_mutual_leg_refuses_whoever_shows_nothing():
    client = MemoryTls(s2s_context(None), server_side=False)
    server = MemoryTls(mutual_context(both("edge1.corp.example"), root().pem), server_side=True)
    with pytest.raises(TlsError, match="did not return a certificate"):
        pump(client, server)


def test_a_client_of_a_mutual_leg_refuses_a_foreign_server():
    client, server = mutual(both("fe1.corp.example"), both("edge1.corp.example", other_root()))
    with pytest.raises(TlsError):
        pump(client, server)


# --- our own identity ------------------------------------------------------------------------------------------------


def test_a_pair_is_read_and_described(ours):
    identity = Identity.from_pem(certificate_pem(ours), key_pem(ours), NOW)
    assert identity.not_after == NOW + 60 * DAY
    assert len(identity.fingerprint) == 64


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (lambda: b"", lambda: key_pem(partner("server only")), "not a PEM certificate"),
        (lambda: certificate_pem(partner("server only")), lambda: b"", "key"),
        (
            lambda: certificate_pem(partner("server only")),
            lambda: key_pem(partner("no usage")),
            "do not belong together",
        ),
        (lambda: certificate_pem(partner("expired")), lambda: key_pem(partner("expired")), "has expired"),
        (lambda: certificate_pem(partner("not valid yet")), lambda: key_pem(partner("not valid yet")), "not valid yet"),
        (
            lambda: certificate_pem(partner("server only")) + other_root().pem,
            lambda: key_pem(partner("server only")),
            "leaf first",
        ),
        (
            lambda: certificate_pem(partner("server only")) + root().pem * 10,
            lambda: key_pem(partner("server only")),
            "the limit is",
        ),
    ],
)
def test_a_pair_that_cannot_be_used_is_a_problem_in_words(certificate, key, words):
    with pytest.raises(CertificateProblem, match=words):
        Identity.from_pem(certificate(), key(), NOW)


def write(directory, identity: Identity) -> None:
    (directory / "a.crt").write_bytes(certificate_pem(identity))
    (directory / "a.key").write_bytes(key_pem(identity))


def test_new_connections_use_the_new_certificate_and_open_ones_live_on(tmp_path, ours):
    write(tmp_path, ours)
    held = ReloadableContext(s2s_context, tmp_path / "a.crt", tmp_path / "a.key", NOW)
    client, server = pair(s2s_context(None), held.context)
    pump(client, server)
    renewed = root().issue(dns("corp.example"), usages=[SERVER])
    write(tmp_path, renewed)
    assert held.reload(NOW)
    assert not held.reload(NOW)
    client.write(b"still here")
    assert server.receive(client.data_to_send()) == b"still here"
    second, other = pair(s2s_context(None), held.context)
    pump(second, other)
    assert second.peer_chain() == der_chain(renewed)


def test_a_bad_file_leaves_the_old_certificate_in_use(tmp_path, ours):
    write(tmp_path, ours)
    held = ReloadableContext(s2s_context, tmp_path / "a.crt", tmp_path / "a.key", NOW)
    before = held.context
    (tmp_path / "a.key").write_bytes(key_pem(partner("no usage")))
    with pytest.raises(CertificateProblem, match="do not belong together"):
        held.reload(NOW)
    (tmp_path / "a.crt").unlink()
    with pytest.raises(CertificateProblem, match=r"a\.crt"):
        held.reload(NOW)
    assert held.context is before


def test_a_file_of_any_size_is_not_read(tmp_path, ours):
    write(tmp_path, ours)
    with (tmp_path / "a.crt").open("ab") as file:
        file.truncate(2 << 20)
    with pytest.raises(CertificateProblem, match="larger"):
        Identity.from_files(tmp_path / "a.crt", tmp_path / "a.key", NOW)
