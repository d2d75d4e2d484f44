"""Settings blocks that both daemons share, and the strict reading of a daemon's JSON file.

Called by `edge.settings` and `frontend.settings`. Never opens a file by itself: bytes come in as an argument.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Annotated, TypeVar

import msgspec

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
#: Port 0 lets the kernel choose; only tests want that.
ListenPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
#: A DNS name or an IP address in text form; RFC 1035 allows 253 visible octets.
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400 * 7)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
#: A bound on what is held in memory; no host of ours has more than 64 GiB.
Octets = Annotated[int, msgspec.Meta(ge=1, le=64 * 1024**3)]

#: A settings file larger than this is not one: 10,000 partners take about 2 MiB.
MAXIMUM_FILE_BYTES = 32 * 1024 * 1024

SettingsType = TypeVar("SettingsType", bound=msgspec.Struct)


class SettingsProblem(ValueError):  # noqa: N818 - the house calls what is wrong with a document a problem
    """A settings file that a daemon refuses. `code` is stable and documented; the text says where and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An IP address and TCP port to listen on."""

    address: Host
    port: ListenPort


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where `/metrics` and `/healthz` are served. Anything but a loopback address is refused."""

    address: Host = "127.0.0.1"
    port: ListenPort = 9269


def decode(data: bytes, kind: type[SettingsType]) -> SettingsType:
    """Return the settings in `data` (JSON, UTF-8) as `kind`.

    Raises SettingsProblem: `settings-too-large`, `settings-json`, `settings-key`, `settings-value`.
    """
    if len(data) > MAXIMUM_FILE_BYTES:
        raise SettingsProblem(
            "settings-too-large", f"{len(data)} bytes; a settings file has at most {MAXIMUM_FILE_BYTES}"
        )
    try:
        _refuse_duplicate_keys(data)
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        unknown = "unknown field" in str(error) or "missing required field" in str(error)
        raise SettingsProblem("settings-key" if unknown else "settings-value", str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        if isinstance(error, SettingsProblem):
            raise
        raise SettingsProblem("settings-json", f"not JSON: {error}") from None


def require_loopback(address: str, where: str) -> None:
    """Refuse an `address` that is reachable from outside this machine. Raises SettingsProblem `settings-value`."""
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SettingsProblem("settings-value", f"{where}: {address!r} is not a loopback address")


def require_address(address: str, where: str) -> None:
    """Refuse an `address` that is not an IP address. Raises SettingsProblem `settings-value`."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise SettingsProblem("settings-value", f"{where}: {address!r} is not an IP address") from None


def _refuse_duplicate_keys(data: bytes) -> None:
    # msgspec keeps the last of two equal keys; a person who wrote both meant one of them.
    def pairs(items: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _ in items:
            if key in seen:
                raise SettingsProblem("settings-key", f"key {key!r} stands twice in one object")
            seen.add(key)

    json.loads(data, object_pairs_hook=pairs)
