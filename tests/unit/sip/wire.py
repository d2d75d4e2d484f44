"""Small SIP messages for tests: a sound MESSAGE that a test spoils in one place, and a connection to feed it to."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from xmppgw.sip.connection import Identity, SipConnection

BODY = b"hello"
SOUND: tuple[str, ...] = (
    "Via: SIP/2.0/TLS pool.corp.example:5061;branch=z9hG4bK776asdhds",
    "Max-Forwards: 70",
    "From: <sip:alice@corp.example>;tag=49583",
    "To: <sip:juliet@partner1.example>",
    "Call-ID: asd88asd77a@pool.corp.example",
    "CSeq: 1 MESSAGE",
    "Content-Type: text/plain",
)
IDENTITY = Identity("fe1.corp.example", None, frozenset({"fe-pool.corp.example"}))


def request(
    *,
    line: str = "MESSAGE sip:juliet@partner1.example SIP/2.0",
    body: bytes = BODY,
    without: tuple[str, ...] = (),
    instead: dict[str, str] | None = None,
    extra: tuple[str, ...] = (),
    length: str | None = None,
) -> bytes:
    """A MESSAGE with headers left out, replaced (by name) or added, and any Content-Length."""
    replaced = instead or {}
    headers: list[str] = []
    for header in SOUND:
        name = header.partition(":")[0]
        if name in without:
            continue
        headers.append(f"{name}: {replaced[name]}" if name in replaced else header)
    headers += extra
    if length != "":
        headers.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([line, *headers, "", ""]).encode("utf-8", "surrogateescape") + body


def with_method(method: str, **spoiled: object) -> bytes:
    """The sound request as one of another method."""
    instead = {"CSeq": f"1 {method}"}
    return request(line=f"{method} sip:juliet@partner1.example SIP/2.0", instead=instead, **spoiled)  # type: ignore[arg-type]


def tokens(prefix: str = "token") -> Callable[[], str]:
    """A factory of predictable tokens."""
    counter = itertools.count(1)
    return lambda: f"{prefix}{next(counter)}"


def connection(**options: object) -> SipConnection:
    """A connection of fe1 that began at second 0."""
    return SipConnection(IDENTITY, new_token=tokens(), now=0.0, **options)  # type: ignore[arg-type]


def statuses(data: bytes) -> list[int]:
    """The status codes of the responses in what was sent."""
    return [int(line.split()[1]) for line in data.decode().split("\r\n") if line.startswith("SIP/2.0 ")]


def header_of(data: bytes, name: str) -> str | None:
    """The first value of a header in what was sent."""
    for line in data.decode().split("\r\n"):
        key, colon, value = line.partition(": ")
        if colon and key == name:
            return value
    return None
