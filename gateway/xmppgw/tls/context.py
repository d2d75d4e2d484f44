"""OpenSSL contexts: what every leg may negotiate, and whom it demands to see.

One function per leg. The S2S context finishes the handshake with any certificate, because the peer's domain is known
only once the stream names it; `verify` judges afterwards. Link and SIP contexts demand a certificate of the private CA
inside the handshake; the name is checked by `MemoryTls` as soon as the handshake is done.
"""

from __future__ import annotations

from cryptography import x509
from OpenSSL import SSL, crypto

from .identity import CertificateProblem, Identity

# RFC 9325 4.2: forward secrecy and authenticated encryption only. TLS 1.3 suites are OpenSSL's own, all of that kind.
_TLS12_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP"
_MODE_RELEASE_BUFFERS = 0x10
"""SSL_MODE_RELEASE_BUFFERS, which pyOpenSSL does not name: idle connections give back 34 KiB."""


def _base(identity: Identity | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    # No renegotiation (CVE-2021-32920), no compression (CRIME), no resumption: a resumed session would carry the
    # verdict on a certificate that may have been replaced since (RFC 6120 4.9.3.16).
    context.set_options(
        SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(_MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_TLS12_CIPHERS)
    if identity is not None:
        context.use_certificate(identity.leaf)
        for intermediate in identity.chain[1:]:
            context.add_extra_chain_cert(intermediate)
        context.use_privatekey(identity.key)
        context.check_privatekey()
    return context


def s2s_context(identity: Identity | None) -> SSL.Context:
    """For both ends of server-to-server streams. Asks for a certificate, takes any, also none.

    Args:
        identity: our public certificate; None only on the connecting side, where dialback can do without.
    """
    context = _base(identity)
    # The callback is a libffi closure: the unit of a daemon with this context cannot have MemoryDenyWriteExecute.
    context.set_verify(SSL.VERIFY_PEER, _accept)
    return context


def mutual_context(identity: Identity, authorities: bytes) -> SSL.Context:
    """For both ends of the link and of SIP connections: nobody gets in without a certificate of `authorities`.

    OpenSSL checks chain, validity and purpose (serverAuth of who accepts, clientAuth of who connects: private CAs
    issue both).

    Args:
        identity: our certificate of the private CA.
        authorities: PEM of the only CAs that count.

    Raises:
        CertificateProblem: `authorities` is no PEM.
    """
    context = _base(identity)
    store = context.get_cert_store()
    assert store is not None
    try:
        certificates = x509.load_pem_x509_certificates(authorities)
    except ValueError as error:
        raise CertificateProblem(f"the certificate authorities of the mutual leg cannot be read: {error}") from None
    for certificate in certificates:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    # No callback: OpenSSL's own verdict stands, and a process that has only mutual legs needs no writable code pages
    # (MemoryDenyWriteExecute).
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    return context


def _accept(_connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _ok: int) -> bool:
    return True
