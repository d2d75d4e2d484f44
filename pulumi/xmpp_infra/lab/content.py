"""What a lab host carries beyond its image: files, units, certificates.

`xmpp_infra.lab.servers` and `xmpp_infra.lab.people` return these; the lab program turns them into inputs of a Host.
A secret never stands in a file's content here: `secret(name)` is a place-holder that the provider fills in on the
host's own disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECRET_OPEN, SECRET_CLOSE = "@@secret:", "@@"


def secret(name: str) -> str:
    """Place-holder for a lab secret; the provider draws its value once and keeps it in `.lab/secrets.json` (0600).

    The name's prefix decides the form: `tsig/<key>` is 32 random bytes in base64, everything else 32 hexadecimal digits
    (so it needs no quoting anywhere). Examples: `secret("tsig/lab-update")`, `secret("xmpp/juliet@partner1.example")`.
    """
    if not name or SECRET_CLOSE in name or not name.isprintable():
        raise ValueError(f"not a secret's name: {name!r}")
    return f"{SECRET_OPEN}{name}{SECRET_CLOSE}"


@dataclass(frozen=True)
class FileSpec:
    """One file on a host. Parent directories that are missing are made as root, 0755."""

    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class CertificateSpec:
    """A certificate with its key on a host, as `/etc/ssl/lab/<name>.crt` (leaf) and `.key` (root:ssl-cert 0640)."""

    name: str
    authority: str  # "public" or "private"
    dns_names: tuple[str, ...]
    server_auth: bool = True
    client_auth: bool = True


@dataclass(frozen=True)
class HostContent:
    """All of a host that its image does not have. `units` are enabled, started, restarted when a file changes."""

    files: Mapping[str, FileSpec] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    certificates: tuple[CertificateSpec, ...] = ()
    # Shell commands run once as root in the host's tree before its first boot (create a user, initialise a data base).
    first_boot: tuple[str, ...] = ()

    def merged_with(self, other: HostContent) -> HostContent:
        """Both contents on one host; raises ValueError when both write the same file or certificate."""
        twice = sorted(set(self.files) & set(other.files))
        if twice:
            raise ValueError(f"two contents write the same file: {', '.join(twice)}")
        names = [certificate.name for certificate in (*self.certificates, *other.certificates)]
        if len(names) != len(set(names)):
            raise ValueError(f"two contents ask for the same certificate: {', '.join(sorted(names))}")
        return HostContent(
            {**self.files, **other.files},
            self.units + tuple(unit for unit in other.units if unit not in self.units),
            self.certificates + other.certificates,
            self.first_boot + other.first_boot,
        )
