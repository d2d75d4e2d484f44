"""Puts a host's own nftables table in place, so that a mistake cannot lock anybody out.

Used by the module `host_rules`. `attempt` loads new rules and arms a timer that takes them back; `confirm`, which
comes over a new connection, disarms it and makes them last. Whoever cannot connect any more gets the former rules back
by waiting.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path("/etc/xmppgw-firewall")
UNIT = Path("/etc/systemd/system/xmppgw-firewall.service")
TABLE = "xmppgw_host"
TIMER = "xmppgw-firewall-back"
# What the host had before: the rules that were confirmed last, or none of ours.
TAKE_BACK = f"if [ -e {FOLDER}/active.nft ]; then nft -f {FOLDER}/active.nft; else nft delete table inet {TABLE}; fi"
UNIT_TEXT = f"""[Unit]
Description=This host's own firewall for XMPP federation
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target nftables.service
Conflicts=shutdown.target
# Whoever loads /etc/nftables.conf anew flushes every table, ours too.
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {FOLDER}/active.nft
ExecReload=/usr/sbin/nft -f {FOLDER}/active.nft

[Install]
WantedBy=sysinit.target
"""


class RulesError(Exception):
    """What could not be done, for a person."""

    code = "migration-firewall"


class TakenBackError(RulesError):
    """The timer was faster than whoever should have come in under the new rules."""

    code = "migration-firewall-locked-out"


def run(*command):
    """Run a command; return what it printed, or raise RulesError with what it complained about."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except OSError as problem:
        raise RulesError(f"{command[0]}: {problem.strerror}; is its package installed?") from None
    if done.returncode != 0:
        raise RulesError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def loaded():
    """Return the table as the kernel has it, without handles and counts; None if it is not there."""
    try:
        found = json.loads(run("nft", "--json", "list", "table", "inet", TABLE))
    except RulesError:
        return None
    return [_plain(item) for item in found["nftables"] if "metainfo" not in item]


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in ("handle", "packets", "bytes")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def write(path, text):
    """Write a file of root's in one rename."""
    half = path.with_name(f".{path.name}.half")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def read(path):
    """Return a file's text, or None."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def stands(rules):
    """Return whether just these rules are in the kernel and come back after a boot."""
    now, confirmed = loaded(), read(FOLDER / "active.json")
    return (
        now is not None
        and confirmed is not None
        and read(FOLDER / "active.nft") == rules
        and json.loads(confirmed) == now
        and read(UNIT) == UNIT_TEXT
    )


def attempt(rules, seconds, *, check):
    """Load the rules under a timer that takes them back; return whether there was anything to do."""
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        write(Path(folder) / "candidate.nft", rules)
        run("nft", "--check", "--file", f"{folder}/candidate.nft")
    if stands(rules):
        return False
    if not check:
        FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(FOLDER / "candidate.nft", rules)
        disarm()
        run("systemd-run", "--quiet", f"--unit={TIMER}", f"--on-active={seconds}", "--timer-property=AccuracySec=100ms",
            "/bin/sh", "-c", TAKE_BACK)  # fmt: skip
        run("nft", "--file", str(FOLDER / "candidate.nft"))
        write(FOLDER / "candidate.json", json.dumps(loaded()))
    return True


def disarm():
    """Stop a timer that is armed, of this attempt or an earlier one."""
    subprocess.run(["systemctl", "stop", f"{TIMER}.timer"], capture_output=True, check=False)


def confirm(rules):
    """Keep what was loaded; raise TakenBackError if it is not in the kernel any more."""
    disarm()
    tried = read(FOLDER / "candidate.json")
    if tried is None or read(FOLDER / "candidate.nft") != rules or json.loads(tried) != loaded():
        raise TakenBackError(
            "the timer has taken the rules back before anybody could come in under them; the former ones are in force. "
            "Is this machine's address in host_firewall_administrators?"
        )
    write(FOLDER / "active.json", tried)
    write(FOLDER / "active.nft", rules)
    write(UNIT, UNIT_TEXT)
    UNIT.chmod(0o644)
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--quiet", "--now", UNIT.name)


def remove(*, check):
    """Take table, unit and files away; return whether there was any of it."""
    there = loaded() is not None or UNIT.exists() or (FOLDER / "active.nft").exists()
    if there and not check:
        disarm()
        if UNIT.exists():
            run("systemctl", "disable", "--quiet", "--now", UNIT.name)
            UNIT.unlink()
            run("systemctl", "daemon-reload")
        if loaded() is not None:
            run("nft", "delete", "table", "inet", TABLE)
        for name in ("active.nft", "active.json", "candidate.nft", "candidate.json"):
            (FOLDER / name).unlink(missing_ok=True)
    return there
