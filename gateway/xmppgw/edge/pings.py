"""XMPP pings that an operator has sent to a partner (XEP-0199): a question on our stream, answered on the partner's.

Called by the control command `ping` and by inbound streams. The answer has to come in here, so it shows at once that
the partner can be reached and that its server has found its way to this edge. No answer is kept or passed on.
"""

from __future__ import annotations

import asyncio
import secrets

from xmppgw.xmpp.element import NS_PING, NS_SERVER, Element
from xmppgw.xmpp.stanza import Stanza
from xmppgw.xmpp.stream import Pair

#: Pings under way at once: one operator has few partners in hand.
MAXIMUM_PINGS = 64


class TooManyPings(Exception):  # noqa: N818 - an outcome
    """As many are under way as are allowed."""


class Pings:
    """Pings under way, by id."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Pair, asyncio.Future[str]]] = {}

    def begin(self, local: str, remote: str) -> tuple[Element, asyncio.Future[str]]:
        """Make a ping and the future of its answer's type (`result` or `error`). Raises TooManyPings."""
        if len(self._waiting) >= MAXIMUM_PINGS:
            raise TooManyPings(f"{MAXIMUM_PINGS} pings are under way already")
        identifier = f"xmppgw-ping-{secrets.token_hex(8)}"
        attributes = {"type": "get", "id": identifier, "from": local, "to": remote}
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[identifier] = (Pair(remote, local), answer)
        answer.add_done_callback(lambda _: self._waiting.pop(identifier, None))
        return Element("iq", NS_SERVER, attributes, [Element("ping", NS_PING)]), answer

    def answered(self, pair: Pair, stanza: Stanza) -> bool:
        """Take a stanza if it answers a ping: then it is for nobody else."""
        if stanza.kind != "iq" or stanza.type not in {"result", "error"} or stanza.id is None:
            return False
        waiting = self._waiting.get(stanza.id)
        if waiting is None or waiting[0] != pair:
            return False
        if not waiting[1].done():
            waiting[1].set_result(stanza.type)
        return True
