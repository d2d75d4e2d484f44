"""Which gateway answers a partner: ours, or the legacy one behind us. Kept in a file, so that no restart forgets it.

Called by `edge.arrival` for every connection while a legacy gateway is configured, and by the control socket. A phase
belongs to a partner; its additional domains follow it. Never touches an open connection: moving those is what graceful
closing on the other side is for.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from xmppgw.edge.partners import PartnerTable
from xmppgw.edge.settings import EdgeSettings
from xmppgw.telemetry.settings import Host, SettingsProblem
from xmppgw.xmpp.first_header import FirstHeader

Phase = Literal["legacy", "gateway"]

PHASES: dict[str, Phase] = {"legacy": "legacy", "gateway": "gateway"}

#: 10,000 partners take about 1 MiB.
MAXIMUM_FILE_BYTES = 16 * 1024 * 1024


class PhaseOfPartner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a partner stands, and since when (seconds since the epoch)."""

    phase: Phase
    since: float


class PhaseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of phases.json: partners by their first domain. Who is not in it is in phase `legacy`."""

    phases: dict[Host, PhaseOfPartner]
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class ToLegacy:
    """The connection belongs to the legacy gateway. `why`: `phase`, `unlisted` or `no-from`."""

    why: Literal["phase", "unlisted", "no-from"]


class PhaseTable:
    """The phases of all partners. Without a legacy gateway everyone is in phase `gateway` and no file is touched.

    Raises SettingsProblem `phases-unreadable` or `phases-invalid` for a file that is there and cannot be believed:
    forgetting who was switched would send their messages to the gateway that no longer answers for them.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        self._path = Path(settings.legacy.phases_file) if settings.legacy is not None else None
        self._known: dict[str, PhaseOfPartner] = {} if self._path is None else _read(self._path)

    @property
    def default(self) -> Phase:
        """The phase of whoever has not been switched."""
        return "gateway" if self._path is None else "legacy"

    def of(self, partner: str) -> PhaseOfPartner | None:
        """Return what is known of a partner (its first domain); None if it was never switched."""
        return self._known.get(partner)

    def phase(self, partner: str) -> Phase:
        """Return the phase of a partner (its first domain)."""
        known = self._known.get(partner)
        return self.default if known is None or self._path is None else known.phase

    def set(self, partner: str, phase: Phase, now: float, partners: PartnerTable) -> bool:
        """Put a partner into `phase` and into the file; whether that changed anything.

        Who is no longer listed leaves the file at this opportunity. Raises OSError, and then nothing has changed.
        """
        if self._path is None or self.phase(partner) == phase:
            return False
        listed = {name: each for name, each in self._known.items() if partners.find(name) is not None}
        listed[partner] = PhaseOfPartner(phase, now)
        _write(self._path, PhaseFile(listed))
        self._known = listed
        return True

    def destination(self, header: FirstHeader, partners: PartnerTable) -> ToLegacy | None:
        """Say whether a connection with that first header belongs to the legacy gateway; None: it is ours to answer.

        Domains that are not ours, and peers that pretend to be us, are ours to refuse.
        """
        if self._path is None or header.local not in partners.own_domains:
            return None
        if header.remote is None:
            return ToLegacy("no-from")
        if header.remote in partners.own_domains:
            return None
        partner = partners.find(header.remote)
        if partner is None:
            return ToLegacy("unlisted")
        return ToLegacy("phase") if self.phase(partner.domain) == "legacy" else None


def _read(path: Path) -> dict[str, PhaseOfPartner]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsProblem("phases-unreadable", f"{path}: {error.strerror}") from None
    if len(data) > MAXIMUM_FILE_BYTES:
        raise SettingsProblem("phases-invalid", f"{path}: {len(data)} bytes; it has at most {MAXIMUM_FILE_BYTES}")
    try:
        return dict(msgspec.json.decode(data, type=PhaseFile).phases)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsProblem("phases-invalid", f"{path}: {error}") from None


def _write(path: Path, content: PhaseFile) -> None:
    """Replace the file as a whole: whoever reads it, after a crash too, sees the old one or the new one."""
    data = msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=2)
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
