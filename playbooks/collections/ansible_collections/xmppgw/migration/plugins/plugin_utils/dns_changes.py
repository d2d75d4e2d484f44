"""One change of one RRset, as every DNS provider takes it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Replace an SRV RRset. `before` and `after`: {ttl, records} or None for no RRset; `soa`: the zone's, as read."""

    zone: str
    name: str
    before: dict | None
    after: dict | None
    soa: str


class ChangeError(Exception):
    """The change was not made; the text says why, `code` is stable."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text
