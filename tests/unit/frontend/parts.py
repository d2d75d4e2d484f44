"""A front end without connections: real context, store and lanes, and a clock that the test sets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmppgw.federation import front_end_settings, load_document
from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.intake import Intake
from xmppgw.frontend.payloads import OutgoingKept, StanzaKept, keep
from xmppgw.frontend.returns import sip_lane, xmpp_lane
from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.frontend.sip_lanes import SipLanes, adopt, adopted
from xmppgw.frontend.xmpp_lanes import XmppLanes
from xmppgw.link.messages import Deliver, StanzaArrived
from xmppgw.sip.connection import OutgoingRequest
from xmppgw.store.interface import Accept, Item, Position
from xmppgw.store.sqlite import SqliteStore
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.metrics import Metrics
from xmppgw.xmpp.stanza import message

DOCUMENT = Path(__file__).parents[3] / "inventories/lab/group_vars/all/federation.yml"
OWN, PARTNER, OTHER = "corp.example", "partner1.example", "partner2.example"
ALICE, JULIET = f"alice@{OWN}", f"juliet@{PARTNER}"
#: What the test's clock shows at first.
BEGIN = 1_000_000.0


class Clock:
    """Wall clock."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> float:
        return self.now


class GivenLinks:
    """Edges that the test opens by naming them."""

    def __init__(self) -> None:
        self.usable: list[tuple[str, str]] = []
        self.sent: list[tuple[str, str]] = []

    def choose(self, lane: str, *_: Any) -> tuple[str, str] | None:
        return self.usable[0] if self.usable else None

    def send(self, edge: str, session: str, message: Deliver) -> bool:
        self.sent.append((edge, message.delivery))
        return True


class GivenSip:
    """A next hop that the test opens."""

    def __init__(self) -> None:
        self.ready = False
        self.sent: list[Item] = []

    def send(self, request: OutgoingRequest, item: Item) -> str:
        self.sent.append(item)
        return ""


@dataclass
class Parts:
    context: FrontEndContext
    store: SqliteStore
    clock: Clock
    links: GivenLinks
    sip: GivenSip
    intake: Intake
    log: Path

    async def durable(self) -> None:
        """Wait until nothing is on its way to the store."""
        await until(lambda: self.context.uncommitted == 0, "all is durable")

    def arrives(self, number: int, *, size: int = 0, sender: str = JULIET, to: str = ALICE) -> None:
        """A partner's message, with an extension of so many octets, as an edge hands it over."""
        element = message(sender, to, f"m{number}", identifier=f"id{number}")
        data = element.to_bytes()
        if size:
            data = data.replace(b"</message>", b"<x xmlns='urn:any'>%s</x></message>" % (b"x" * size))
        domain = sender.partition("@")[2]
        arrived = StanzaArrived(f"c{number}", domain, OWN, "external", data, self.clock.now)
        self.intake.stanza(arrived, Position("edge1", "E1", number), lambda: None)

    def enters(self, *items: Item) -> None:
        """Commit items as intake does."""
        prepared = adopt(self.context, items)
        self.context.commit(
            [Accept(prepared, self.clock.now)], lambda results: adopted(self.context, prepared, new=results[0])
        )


def outgoing(number: int, at: float, *, ttl: float = 3600.0, size: int = 0, holder: str = "", **changes: Any) -> Item:
    """A message to the partner, as intake makes it."""
    payload = OutgoingKept(b"<message/>" + b" " * size, OWN, PARTNER, ALICE, JULIET, f"s{number}", f"call{number}")
    fields = {
        "direction": "to_xmpp", "kind": "message", "lane": xmpp_lane(OWN, PARTNER), "partner": PARTNER,
        "correlation": f"c{number}", "payload": keep(payload), "created": at, "expires": at + ttl, "holder": holder,
    }  # fmt: skip
    return Item(id=number, **{**fields, **changes})


def incoming(number: int, at: float, *, ttl: float = 3600.0, size: int = 0, **changes: Any) -> Item:
    """A message for a SIP user, as intake makes it."""
    data = message(JULIET, ALICE, f"m{number}", identifier=f"id{number}").to_bytes()
    data = data.replace(b"</message>", b"<x xmlns='urn:any'>%s</x></message>" % (b"x" * size))
    fields = {
        "direction": "to_sip", "kind": "message", "lane": sip_lane(ALICE), "partner": PARTNER,
        "correlation": f"c{number}", "payload": keep(StanzaKept(data)), "created": at, "expires": at + ttl,
    }  # fmt: skip
    return Item(id=number, **{**fields, **changes})


def settings_bytes(**changes: Any) -> bytes:
    """frontend.json of the lab's front end, with these keys changed."""
    settings = front_end_settings(load_document(DOCUMENT), "fe1", policy_enabled=True, federation_enabled=True)
    return json.dumps({**settings, **changes}).encode()


@contextlib.asynccontextmanager
async def parts(folder: Path, *, changes: dict[str, Any] | None = None, **limits: Any) -> AsyncIterator[Parts]:
    store = await SqliteStore.open(str(folder / "store.sqlite"))
    clock = Clock()
    log = folder / "log"
    with log.open("a") as output:
        context = FrontEndContext(
            decode_front_end_settings(settings_bytes(**(changes or {}), limits=limits)),
            store,
            Log("frontend", "fe1", output=output),
            Metrics("frontend"),
            clock,
        )
        context.begin_ids(await store.last_id())
        links, sip = GivenLinks(), GivenSip()
        context.links, context.sip = links, sip  # type: ignore[assignment]
        context.sip_lanes, context.xmpp_lanes = SipLanes(context), XmppLanes(context)
        made = Parts(context, store, clock, links, sip, Intake(context), log)
        try:
            yield made
            await made.durable()
            assert not context.failed.done(), context.failed.result()
        finally:
            context.draining = True
            await store.close()
            context.rules.close()


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """For what no event tells of."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"waited in vain until {what}"
        await asyncio.sleep(0.005)
