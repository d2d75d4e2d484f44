"""One TLS connection as a machine: ciphertext and plaintext in, ciphertext and plaintext out.

Driven by the daemons for S2S, the link and SIP. It owns no socket: the driver moves `data_to_send()` to the peer after
every call, also after an error (there may be an alert to deliver).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from .identity import MAX_CHAIN

MAX_HANDSHAKE_BYTES = 262_144
"""Bytes a peer may send before the handshake is done: a security limit. OpenSSL itself takes chains up to 100 KiB."""
_RECORD = 16_384
"""Largest plaintext of one TLS record (RFC 8446 5.1)."""

PeerCheck = Callable[[Sequence[bytes]], str | None]
"""`(DER chain, leaf first) -> reason for refusal or None`; the reason completes "the peer's certificate ..."."""


class TlsError(Exception):
    """TLS with this peer has failed; the connection must be closed.

    Attributes:
        reason: for a log line and a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MemoryTls:
    """TLS over memory.

    Args:
        context: see `context`.
        server_side: whether the peer connected to us.
        server_name: as client, the name to ask for (SNI), as A-label; not an IP address.
        check_peer: judged when the handshake is done, before any plaintext is handed out. Absent on S2S.
    """

    def __init__(
        self,
        context: SSL.Context,
        *,
        server_side: bool,
        server_name: str | None = None,
        check_peer: PeerCheck | None = None,
    ) -> None:
        self._connection = SSL.Connection(context, None)
        self._check_peer = check_peer
        self._handshake_bytes = 0
        self._failed: str | None = None
        self.handshake_done = False
        """Whether plaintext may be written."""
        self.closed_by_peer = False
        """Whether the peer has sent close_notify: what was received before is complete."""
        if server_side:
            self._connection.set_accept_state()
        else:
            if server_name is not None:
                self._connection.set_tlsext_host_name(server_name.encode("ascii"))
            self._connection.set_connect_state()
            self._shake()

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext; give back what could be decrypted, possibly nothing.

        Raises:
            TlsError: handshake refused, record damaged, or the peer's certificate is not acceptable. Send
                `data_to_send()`, then close.
        """
        if self._failed is not None:
            raise TlsError(self._failed)
        if not self.handshake_done:
            self._handshake_bytes += len(data)
            if self._handshake_bytes > MAX_HANDSHAKE_BYTES:
                self._fail(f"more than {MAX_HANDSHAKE_BYTES} bytes before the handshake was done")
        if data:
            self._connection.bio_write(data)
        if not self.handshake_done:
            self._shake()
            if not self.handshake_done:
                return b""
        return self._read()

    def write(self, data: bytes) -> None:
        """Encrypt; the result waits in `data_to_send()`.

        Raises:
            TlsError: the connection has failed.
            ValueError: the handshake is not done.
        """
        if self._failed is not None:
            raise TlsError(self._failed)
        if not self.handshake_done:
            raise ValueError("plaintext before the handshake is done")
        view = memoryview(data)
        while view:
            try:
                sent = self._connection.send(view[:_RECORD])
            except SSL.Error as error:
                self._fail(_explain(error))
            view = view[sent:]

    def data_to_send(self) -> bytes:
        """Ciphertext for the peer, and forget it."""
        parts = []
        while True:
            try:
                parts.append(self._connection.bio_read(65_536))
            except SSL.Error:
                # WantReadError means empty; anything else can only mean the same for a memory buffer.
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Queue close_notify. What the peer sends may still be received."""
        if self._failed is None and self.handshake_done:
            try:
                self._connection.shutdown()
            except SSL.Error as error:
                self._failed = _explain(error)

    def peer_chain(self) -> list[bytes]:
        """DER of the certificates the peer presented, leaf first; empty if none. At most `MAX_CHAIN`."""
        leaf = self._connection.get_peer_certificate(as_cryptography=True)
        if leaf is None:
            return []
        # OpenSSL lists the leaf in the chain on the client's side only.
        rest = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        chain = [leaf, *(certificate for certificate in rest if certificate != leaf)]
        return [certificate.public_bytes(Encoding.DER) for certificate in chain[:MAX_CHAIN]]

    @property
    def protocol(self) -> str:
        """`TLSv1.2` or `TLSv1.3`."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        """The negotiated suite, or the empty string."""
        return self._connection.get_cipher_name() or ""

    @property
    def requested_name(self) -> str | None:
        """As server: the name the client asked for (SNI)."""
        name = self._connection.get_servername()
        return name.decode("ascii", "replace") if name is not None else None

    def _shake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self._fail(_explain(error))
        self.handshake_done = True
        if self._check_peer is not None:
            reason = self._check_peer(self.peer_chain())
            if reason is not None:
                self._fail(f"the peer's certificate {reason}")

    def _read(self) -> bytes:
        parts = []
        while True:
            try:
                parts.append(self._connection.recv(_RECORD))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.closed_by_peer = True
                break
            except SSL.Error as error:
                if not parts:
                    self._fail(_explain(error))
                # What came before the damage is authentic; the next call reports the failure.
                self._failed = _explain(error)
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fail(self, reason: str) -> None:
        self._failed = reason
        raise TlsError(reason)


def _explain(error: SSL.Error) -> str:
    """OpenSSL's own words; it has no others for people."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return "; ".join(entry[-1] for entry in error.args[0])
    return str(error) or type(error).__name__
