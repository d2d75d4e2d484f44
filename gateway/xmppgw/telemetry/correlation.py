"""Correlation ids: minted once per message at its first byte, carried across XMPP, link and SIP in every log line.

Called by whoever meets a message first. An id says nothing about the message.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count


class Correlations:
    """An endless source of ids, unique among processes by a random prefix and within one by a counter."""

    def __init__(self, prefix: str | None = None) -> None:
        self._prefix = prefix if prefix is not None else secrets.token_hex(5)
        self._numbers: Iterator[int] = count(1)

    def mint(self) -> str:
        """Return a new id: `<10 hex digits>-<counter in hex>`."""
        return f"{self._prefix}-{next(self._numbers):x}"
