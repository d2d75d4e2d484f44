"""Both daemons of ours on the stage: the world of the security tests with real partners, found by DNS."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tests.interop.authorities import Authorities
from tests.interop.stage import OURS, RESOLVER
from tests.security.world import World


class Gateway(World):
    """The world of the security tests with our daemons on the stage's addresses and real partners behind DNS."""

    def __init__(self, folder: Path, authorities: Authorities, front_door: socket.socket) -> None:
        super().__init__(folder)
        self.sockets[0].close()
        self.sockets[0] = front_door.dup()
        certificate, key = authorities.issue(OURS, f"edge.{OURS}")
        (folder / "public.crt").write_bytes(certificate)
        (folder / "public.key").write_bytes(key)
        (folder / "partners.pem").write_bytes(authorities.pem)

    def edge_settings(self, **changes: Any) -> bytes:
        partners = [{key: value for key, value in each.items() if key != "addresses"} for each in self.partners]
        return super().edge_settings(
            resolver=[RESOLVER],
            partners=partners,
            tls={
                "certificate": str(self.folder / "public.crt"),
                "key": str(self.folder / "public.key"),
                "trust": [str(self.folder / "partners.pem")],
            },
            **changes,
        )
