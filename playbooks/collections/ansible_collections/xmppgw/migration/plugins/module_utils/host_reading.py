"""Reads what stands on a gateway host: release, files, units, certificates, open ports.

Used by the module `host_state` on the host. Reads only; private keys never leave the host, only the digest of the
public
half does.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

PREFIX = Path("/opt/xmppgw")


def release(prefix=PREFIX):
    """Return (version, digest of the wheels it was installed from) of the current release, or (None, None)."""
    current = Path(prefix) / "current"
    try:
        folder = current.resolve(strict=True)
        marker = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, None
    return marker.get("version"), marker.get("wheels")


def file_digest(path):
    """Return the SHA-256 of a file's content, mode and group as hex, or None if there is no such file.

    Mode and group count as content: a secret that became readable must show up as a difference.
    """
    try:
        data = Path(path).read_bytes()
        status = Path(path).stat()
    except OSError:
        return None
    return content_digest(data, stat.S_IMODE(status.st_mode), _name(grp.getgrgid, status.st_gid, "gr_name"))


def content_digest(data, mode, group):
    """Return the digest under which a file with this content, mode and group is known."""
    return hashlib.sha256(data + b"\0" + f"{mode:04o} {group}".encode()).hexdigest()


def _name(lookup, number, attribute):
    try:
        return getattr(lookup(number), attribute)
    except KeyError:
        return str(number)


def unit_states(names, prefix=PREFIX):
    """Return {unit: `enabled` (and running), `disabled` (and not running), or what is in between}.

    A service that was started before the current release or its unit file was put there is `enabled, outdated`.
    """
    if not names:
        return {}
    listed = subprocess.run(
        [
            "systemctl",
            "show",
            "--timestamp=unix",
            "--property=Id,UnitFileState,ActiveState,ExecMainStartTimestamp,FragmentPath",
            *names,
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout
    states = {}
    for block in listed.strip().split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        state = summarise_unit(pairs.get("UnitFileState", ""), pairs.get("ActiveState", ""))
        started = pairs.get("ExecMainStartTimestamp", "").lstrip("@")
        newest = max(_changed(Path(prefix) / "current"), _changed(Path(pairs.get("FragmentPath") or "/nonexistent")))
        # Whole seconds on both sides: systemd gives no more.
        if state == "enabled" and started.isdigit() and int(started) < int(newest):
            state = "enabled, outdated"
        states[pairs.get("Id", "")] = state
    return {name: states.get(name, "disabled") for name in names}


def _changed(path):
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def summarise_unit(file_state, active_state):
    """Return one word for a unit: `enabled` = enabled and running, `disabled` = neither, else both states."""
    enabled, active = file_state == "enabled", active_state in ("active", "reloading")
    if enabled and active:
        return "enabled"
    if not enabled and not active:
        return "disabled"
    return f"{file_state or 'unknown'}, {active_state or 'unknown'}"


def public_half(key_path):
    """Return the SHA-256 of the key's public half (DER) as hex, or None if there is no readable key."""
    done = subprocess.run(
        ["openssl", "pkey", "-in", str(key_path), "-pubout", "-outform", "DER"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    return hashlib.sha256(done.stdout).hexdigest() if done.returncode == 0 and done.stdout else None


def certificate(crt_path, key_path):
    """Return {pem, public_key} of a certificate and the key beside it; each None if absent."""
    try:
        pem = Path(crt_path).read_text(encoding="ascii")
    except (OSError, ValueError):
        pem = None
    return {"pem": pem, "public_key": public_half(key_path) if Path(key_path).exists() else None}


def parse_listening(text):
    """Return the ports in a /proc/net/tcp table on which something listens (state 0A)."""
    ports = set()
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == "0A":
            ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def runs_on():
    """Return {python, machine, libc} of this host, as `3.11`, `x86_64` and `2.36` (empty where it is not glibc)."""
    name, _, libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": os.uname().machine,
        "libc": libc if name == "glibc" else "",
    }


def listening():
    """Return the sorted TCP ports on which this host listens, over IPv4 or IPv6."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            ports |= parse_listening(Path(table).read_text(encoding="ascii"))
        except OSError:
            continue
    return sorted(ports)


def settings(path):
    """Return a daemon's JSON configuration (it holds no secrets), or None."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
