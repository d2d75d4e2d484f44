"""One JSON object per line on standard error: what happened, to whom, why, under which correlation id.

Called by every part of both daemons. Never writes a message body, a key or a secret: fields that could carry one are
refused by name, and every string is escaped to ASCII and cut, so that a remote name cannot forge or flood a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

import msgspec

Value = str | int | float | bool | None
Level = Literal["debug", "info", "warning", "error"]

#: Characters of one string value; an address has at most 3071, a reason is a sentence.
MAXIMUM_VALUE_CHARACTERS = 400
#: Names under which a body or a secret would travel.
FORBIDDEN_FIELDS = frozenset({"body", "password", "secret", "private_key", "dialback_key", "stanza", "content"})

_LEVELS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes events of one daemon. `clock` returns seconds since the epoch."""

    def __init__(
        self,
        daemon: str,
        node: str,
        *,
        output: TextIO | None = None,
        clock: Callable[[], float] = time.time,
        level: Level = "info",
        gather: bool = False,
    ) -> None:
        """`gather`: write the lines of one turn of the event loop together; a third less work for a busy daemon."""
        self._daemon = daemon
        self._node = node
        self._output = output if output is not None else sys.stderr
        self._clock = clock
        self._threshold = _LEVELS[level]
        self._gather = gather
        self._lines: list[str] = []

    def debug(self, event: str, **fields: Value) -> None:
        """Write what only someone who looks for a fault wants to read."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Value) -> None:
        """Write what happens in normal running."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """Write what someone outside did wrong, or what will go wrong unless someone acts."""
        self._write("warning", event, fields)

    def failure(self, event: str, **fields: Value) -> None:
        """Write what we did wrong, or cannot do (level `error`)."""
        self._write("error", event, fields)

    def _write(self, level: Level, event: str, fields: dict[str, Value]) -> None:
        if _LEVELS[level] < self._threshold:
            return
        line: dict[str, Value] = {
            "time": round(self._clock(), 3),
            "level": level,
            "daemon": self._daemon,
            "node": self._node,
            "event": event,
        }
        for name, value in fields.items():
            if name in FORBIDDEN_FIELDS:
                raise ValueError(f"field {name!r} must not be logged")
            line[name] = _shortened(value) if isinstance(value, str) else value
        self._lines.append(_encoded(line) + "\n")
        if not self._gather:
            self.flush()
        elif len(self._lines) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        lines, self._lines = self._lines, []
        try:
            self._output.write("".join(lines))
            self._output.flush()
        except (OSError, ValueError):
            # A full or closed log must not stop the messages.
            return


def _encoded(line: dict[str, Value]) -> str:
    """Return `line` as JSON in ASCII; the fast encoder does not escape what is not, but such lines are rare."""
    try:
        encoded = msgspec.json.encode(line)
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(line, ensure_ascii=True)
    return encoded.decode() if encoded.isascii() else json.dumps(line, ensure_ascii=True)


def _shortened(value: str) -> str:
    cut = value if len(value) <= MAXIMUM_VALUE_CHARACTERS else value[:MAXIMUM_VALUE_CHARACTERS] + "…"
    # JSON escapes control characters and, in ASCII mode, all else that a terminal could act upon, except DEL.
    return cut.replace("\x7f", "\ufffd")
