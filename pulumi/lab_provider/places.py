"""Where a lab keeps its files, and what its namespaces are called; read from the environment once.

Tests set XMPPGW_LAB_DIR and XMPPGW_LAB_NAMESPACE so that their lab runs beside another one without touching it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NETNS = Path("/run/netns")


@dataclass(frozen=True)
class Places:
    """Directories of one lab and the name of its network namespace."""

    lab: Path
    cache: Path
    namespace: str

    @classmethod
    def from_environment(cls) -> Places:
        """The places that XMPPGW_LAB_DIR, XMPPGW_CACHE_DIR, XMPPGW_LAB_NAMESPACE name; defaults lie in the project."""
        return cls(
            lab=Path(os.environ.get("XMPPGW_LAB_DIR") or ROOT / ".lab").absolute(),
            cache=Path(os.environ.get("XMPPGW_CACHE_DIR") or ROOT / ".cache").absolute(),
            namespace=os.environ.get("XMPPGW_LAB_NAMESPACE") or "xmpplab",
        )

    def host(self, name: str) -> Path:
        """Directory of a host: its overlay, its console log."""
        return self.lab / "hosts" / name

    def host_namespace(self, name: str) -> str:
        """Name of the network namespace that a host boots in; it is wired to the bridges of the lab's own namespace."""
        return f"{self.namespace}-{name}"

    def control_groups(self, name: str) -> list[Path]:
        """One directory per cgroup hierarchy that systemd in the host will manage; each host needs its own."""
        base = Path("/sys/fs/cgroup")
        if (base / "cgroup.controllers").exists():
            hierarchies = [base]
        else:
            hierarchies = [path for path in (base / "systemd", base / "unified") if path.is_dir()]
        return [hierarchy / self.namespace / name for hierarchy in hierarchies]


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file by one rename; it never exists with a wider mode or with half its content."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    temporary.replace(path)
