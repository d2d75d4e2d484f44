"""Server dialback (XEP-0220): keys (XEP-0185), requests that are waiting for an answer, and the elements on the wire.

Called by both stream machines. Proves nothing by itself: a key is judged by whoever knows the secret, an answer counts
only if it matches a request that was really sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from .element import NS_DIALBACK, Element

MAX_KEY_LENGTH = 256
"""Characters of a peer's key that are looked at or passed on; ours have 64."""
MAX_STREAM_ID_LENGTH = 256
"""Characters of a peer's stream id that are used; longer ones are refused."""


def dialback_key(secret: str, receiving: str, originating: str, stream_id: str) -> str:
    """The key of XEP-0185 3: stateless, so that every edge with the same secret can judge it.

    The HMAC key is the *hexadecimal text* of the secret's digest. The fields are separated by spaces, which neither a
    domain nor one of our stream ids contains (without them `a.b`+`c` equals `a`+`b.c`: CVE-2016-0756).

    Args:
        secret: shared by all edges of one organisation.
        receiving: domain of the server that will check the key.
        originating: domain of the server that makes it.
        stream_id: id of the response header on which it is presented.
    """
    digest = hashlib.sha256(secret.encode("utf-8")).hexdigest().encode("ascii")
    text = f"{receiving} {originating} {stream_id}".encode()
    return hmac.new(digest, text, hashlib.sha256).hexdigest()


def key_is_ours(secret: str, receiving: str, originating: str, stream_id: str, key: str) -> bool:
    """Whether we made `key`. The comparison takes the same time wherever the texts differ."""
    expected = dialback_key(secret, receiving, originating, stream_id)
    return hmac.compare_digest(expected.encode("ascii"), key.encode("utf-8", "replace"))


def result_element(sender: str, receiver: str, *, key: str | None = None, outcome: str | None = None) -> Element:
    """`<db:result/>`: with a key it asks (XEP-0220 2.1.1), with an outcome (`valid`, `invalid`) it answers (2.2.1)."""
    element = Element("result", NS_DIALBACK, {"from": sender, "to": receiver})
    _fill(element, key, outcome)
    return element


def verify_element(
    sender: str, receiver: str, stream_id: str, *, key: str | None = None, outcome: str | None = None
) -> Element:
    """`<db:verify/>`: with a key it asks (XEP-0220 2.1.2), with an outcome it answers (2.2.2)."""
    element = Element("verify", NS_DIALBACK, {"from": sender, "to": receiver, "id": stream_id})
    _fill(element, key, outcome)
    return element


def _fill(element: Element, key: str | None, outcome: str | None) -> None:
    if key is not None:
        element.children.append(key)
    if outcome is not None:
        element.attributes["type"] = outcome


RequestT = TypeVar("RequestT", bound=Hashable)


class OutstandingRequests(Generic[RequestT]):
    """Requests that were sent and not answered yet, with the time by which an answer must be there.

    An answer that finds no request here was not asked for and must be treated as an attack (XEP-0220 2.1, 3.1;
    CVE-2012-3525).

    Args:
        limit: entries at most; the caller refuses what does not fit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._deadlines: dict[RequestT, float] = {}

    def add(self, request: RequestT, deadline: float) -> bool:
        """Remember a request; False if it is there already or the table is full."""
        if request in self._deadlines or len(self._deadlines) >= self._limit:
            return False
        self._deadlines[request] = deadline
        return True

    def take(self, request: RequestT) -> bool:
        """Forget a request that has been answered; False if nobody asked."""
        return self._deadlines.pop(request, None) is not None

    def next_deadline(self) -> float | None:
        """When the first of them is overdue."""
        return min(self._deadlines.values(), default=None)

    def take_overdue(self, now: float) -> list[RequestT]:
        """Forget and return the requests whose time is up, oldest first."""
        overdue = [request for request, deadline in self._deadlines.items() if deadline <= now]
        for request in overdue:
            del self._deadlines[request]
        return overdue

    def take_all(self) -> list[RequestT]:
        """Forget and return all of them, oldest first."""
        requests = list(self._deadlines)
        self._deadlines.clear()
        return requests

    def __len__(self) -> int:
        return len(self._deadlines)

    def __iter__(self) -> Iterator[RequestT]:
        return iter(self._deadlines)

    def __contains__(self, request: object) -> bool:
        return request in self._deadlines
