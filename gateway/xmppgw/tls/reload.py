"""Exchange certificate and key under running connections.

Called by the daemons on SIGHUP. New connections use the new context; those that are open keep the one they were made
with, until they end. A pair that does not pass `Identity` leaves everything as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from OpenSSL import SSL

from .identity import Identity


class ReloadableContext:
    """A TLS context that follows two files.

    Args:
        build: makes the context, for example `s2s_context`.
        certificate_file: PEM, leaf first.
        key_file: PEM.
        now: to judge expiry, with time zone.

    Raises:
        CertificateProblem: the files cannot be used.
    """

    def __init__(
        self, build: Callable[[Identity], SSL.Context], certificate_file: Path, key_file: Path, now: datetime
    ) -> None:
        self._build = build
        self._certificate_file = certificate_file
        self._key_file = key_file
        self.identity = Identity.from_files(certificate_file, key_file, now)
        """The pair in use for new connections."""
        self.context = build(self.identity)
        """The context for new connections."""

    def reload(self, now: datetime) -> bool:
        """Read the files again; True if the certificate is another one.

        Raises:
            CertificateProblem: the files cannot be used; the pair in use stays.
        """
        identity = Identity.from_files(self._certificate_file, self._key_file, now)
        context = self._build(identity)
        changed = identity.fingerprint != self.identity.fingerprint
        self.identity, self.context = identity, context
        return changed
