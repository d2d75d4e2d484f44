"""Streams of the lab's legacy gateway, seen and closed through Prosody's admin shell.

Used by the modules `legacy_streams` and `host_state` on the legacy gateway. It closes streams only the graceful way:
Prosody
sends `</stream:stream>` and reads on until the peer closes (measured to lose nothing, docs/architecture.md).
"""

from __future__ import annotations

import subprocess

# One expression for Prosody's shell (`>` evaluates Lua): every S2S stream as "in from to" or "out from to".
# s2s:show() would need column parsing, and cuts long names.
STREAMS = (
    "> (function() local t = {} "
    "for s in pairs(prosody.incoming_s2s) do "
    't[#t+1] = "in " .. (s.from_host or "?") .. " " .. (s.to_host or "?") end '
    "for _, h in pairs(prosody.hosts) do for _, s in pairs(h.s2sout or {}) do "
    't[#t+1] = "out " .. (s.from_host or "?") .. " " .. (s.to_host or "?") end end '
    'return "streams=" .. table.concat(t, ";") end)()'
)


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


def parse_streams(lines):
    """Return the streams in the shell's output as sorted (direction, from, to)."""
    for line in lines:
        _before, found, listed = line.partition("streams=")
        if found:
            return sorted(tuple(item.split(" ")) for item in listed.split(";") if item)
    raise LegacyError("Prosody's shell listed no streams: " + " ".join(lines)[-300:])


def streams():
    """Return every S2S stream of the legacy gateway as sorted (direction, from, to)."""
    return parse_streams(shell(STREAMS))


def count(listed, partner, own, direction="in"):
    """Return how many streams of `partner` there are in `direction`: `in` is partner to us."""
    wanted = (direction, partner, own) if direction == "in" else (direction, own, partner)
    return sum(1 for item in listed if item == wanted)


def close(sender, receiver):
    """Close the streams from `sender` to `receiver` gracefully."""
    shell(f's2s:close("{sender}", "{receiver}")')
