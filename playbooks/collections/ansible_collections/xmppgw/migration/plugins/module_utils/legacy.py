"""Streams of the lab's legacy gateway, seen and closed through Prosody's admin shell.

Used by the modules `legacy_streams` and `host_state` on the legacy gateway. It closes streams only the graceful way:
Prosody
sends `</stream:stream>` and reads on until the peer closes (measured to lose nothing, docs/architecture.md).
"""

from __future__ import annotations

import subprocess

# One expression for Prosody's shell (`>` evaluates Lua): every S2S stream as "in from to id" or "out from to id".
# s2s:show() would need column parsing, and cuts long names. The id tells a stream that is being closed from the next.
STREAMS = (
    "> (function() local t = {} "
    "for s in pairs(prosody.incoming_s2s) do "
    't[#t+1] = "in " .. (s.from_host or "?") .. " " .. (s.to_host or "?") .. " " .. (s.id or "?") end '
    "for _, h in pairs(prosody.hosts) do for _, s in pairs(h.s2sout or {}) do "
    't[#t+1] = "out " .. (s.from_host or "?") .. " " .. (s.to_host or "?") .. " " .. (s.id or "?") end end '
    'return "streams=" .. table.concat(t, ";") end)()'
)


UNITS = ("prosody.service", "kamailio.service", "xmpp-sip-bridge.service")
"""What the lab's legacy gateway consists of."""


class LegacyError(Exception):
    """The admin shell did not answer, or not as expected."""


def shell(command, timeout=20.0):
    """Run one command in Prosody's admin shell and return its output lines; raise LegacyError."""
    try:
        done = subprocess.run(
            ["prosodyctl", "shell", command], capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise LegacyError(f"prosodyctl shell {command[:40]!r}: {error}") from error
    if done.returncode:
        raise LegacyError(f"prosodyctl shell {command[:40]!r}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout.splitlines()


def systemctl(*arguments):
    """Return what systemctl says, whatever its exit status; raise LegacyError if it cannot be started."""
    try:
        done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise LegacyError(f"systemctl {' '.join(arguments)}: {error}") from error
    return done.stdout.split()


def switched_off():
    """Return whether decommissioning has disabled and stopped every part: then there is no stream to list."""
    enabled, active = systemctl("is-enabled", *UNITS), systemctl("is-active", *UNITS)
    return len(enabled) == len(UNITS) and set(enabled) == {"disabled"} and "active" not in active


def switch_off():
    """Stop and disable every part, the bridge first so that nothing new enters; raise LegacyError if one goes on."""
    for unit in reversed(UNITS):
        systemctl("disable", "--now", unit)
    if not switched_off():
        states = ", ".join(
            f"{unit} {state}" for unit, state in zip(UNITS, systemctl("is-active", *UNITS), strict=False)
        )
        raise LegacyError(f"still there after `systemctl disable --now`: {states}")


def parse_sessions(lines):
    """Return the streams in the shell's output as sorted (direction, from, to, id)."""
    for line in lines:
        _before, found, listed = line.partition("streams=")
        if found:
            return sorted(tuple(item.split(" ")) for item in listed.split(";") if item)
    raise LegacyError("Prosody's shell listed no streams: " + " ".join(lines)[-300:])


def sessions():
    """Return every S2S stream of the legacy gateway as sorted (direction, from, to, id)."""
    return parse_sessions(shell(STREAMS))


def streams():
    """Return every S2S stream of the legacy gateway as sorted (direction, from, to)."""
    return sorted(session[:3] for session in sessions())


def inbound(listed, partners, own):
    """Return the inbound streams among `listed` (as `sessions` gives them), of any of the domains `partners` to any of
    ours: {id: (from, to)}."""
    return {
        identity: (sender, to)
        for direction, sender, to, identity in listed
        if direction == "in" and sender in partners and to in own
    }


def close(pairs):
    """Close the streams of these (from, to) pairs gracefully."""
    for sender, receiver in pairs:
        shell(f's2s:close("{sender}", "{receiver}")')
