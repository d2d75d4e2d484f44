"""Messages on their way to partners: one lane per pair of domains, in order, carried by an edge.

Called by `frontend.intake` with what was committed and by `frontend.links` with outcomes and the state of each edge. An
item that was given to one process of an edge is never given to another process, unless the first one said that it has
not written it: what nobody can know is returned to its sender, not sent twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.payloads import OutgoingKept, kept
from xmppgw.frontend.returns import returned
from xmppgw.frontend.sip_lanes import LATE, MAYBE_DELIVERED, adopt, adopted, dated, dated_item
from xmppgw.link.messages import Deliver, Outcome
from xmppgw.store.interface import Defer, Finish, Hold, Item, Operation
from xmppgw.translate.neutral import Failure

#: Items that one transaction marks as held.
BATCH = 64
#: An edge reports on what has expired there; if it has not after this long, it will not any more.
GRACE_SECONDS = 60.0


@dataclass(slots=True)
class _Held:
    """An item that an edge has, or may have."""

    item: Item
    edge: str
    session: str
    #: Left by an earlier process of ours: to be asked for again.
    ask_again: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be committed, and the items in it that their lanes must hear of afterwards (`adopted`)."""

    operations: tuple[Operation, ...] = ()
    follow: tuple[Item, ...] = ()


class _Lane:
    __slots__ = ("away", "away_bytes", "carrier", "due", "queued", "timer", "uncommitted")

    def __init__(self) -> None:
        self.queued: deque[Item] = deque()
        #: What edges have, and what is on its way to them: messages and octets.
        self.away = 0
        self.away_bytes = 0
        #: The edge, and its process, that was given the last of them: what comes later must not overtake it elsewhere.
        self.carrier: tuple[str, str] | None = None
        #: Accepted items that nobody holds and whose commit is under way.
        self.uncommitted = 0
        #: When the next one may leave, on the loop's clock: setting the wall clock must not stop a lane.
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def put_back(self, item: Item) -> None:
        """Insert where its id belongs; nearly always in front."""
        self.queued.append(item)
        self.queued = deque(sorted(self.queued, key=lambda each: each.id))


class XmppLanes:
    """All lanes towards partners."""

    def __init__(self, gateway: FrontEndContext) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, _Lane] = {}
        self._held: dict[int, _Held] = {}

    def load(self, item: Item) -> None:
        """Take over what an earlier process left; in the order of ids."""
        self._gateway.entered(item)
        if item.holder:
            edge, _, session = item.holder.partition("|")
            self._count_away(item, (edge, session))
            self._held[item.id] = _Held(item, edge, session, ask_again=True)
        else:
            self._lanes.setdefault(item.lane, _Lane()).queued.append(item)

    @property
    def depth(self) -> int:
        """Items in all lanes, held ones included."""
        return len(self._held) + sum(len(lane.queued) for lane in self._lanes.values())

    @property
    def oldest(self) -> float | None:
        """When the item that has been here longest was accepted (seconds since the epoch); None where none is."""
        waiting = [lane.queued[0].created for lane in self._lanes.values() if lane.queued]
        return min([*waiting, *(held.item.created for held in self._held.values())], default=None)

    @property
    def held(self) -> int:
        """Items that an edge has."""
        return len(self._held)

    def prepare(self, item: Item) -> Item:
        """Before the commit of a new item: hold it at once if it can leave at once."""
        lane = self._lanes.setdefault(item.lane, _Lane())
        link = None
        if not (lane.queued or lane.uncommitted or lane.due > self._loop.time()) and self._has_room(lane):
            link = self._link(item.lane, lane)
        if link is None:
            lane.uncommitted += 1
            return item
        edge, session = link
        self._count_away(item, link)
        return replace(item, holder=f"{edge}|{session}")

    def committed(self, item: Item, *, new: bool) -> None:
        """After the commit: the item is in the store, or (`new` false) was a repetition and is not."""
        if item.holder:
            if not new:
                self._count_back(item)
                return
            edge, _, session = item.holder.partition("|")
            self._held[item.id] = _Held(item, edge, session)
            self._send(item)
            return
        lane = self._lanes[item.lane]
        lane.uncommitted -= 1
        if new:
            lane.queued.append(item)
        self._pump(item.lane)

    # What the edges say.

    def edge_opened(self, edge: str, session: str) -> None:
        """A link is up. What another process of that edge had is returned, what this one has is asked for again."""
        for held in [each for each in self._held.values() if each.edge == edge]:
            if held.session != session:
                self._end(held.item, replace(MAYBE_DELIVERED, text=f"{MAYBE_DELIVERED.text}: the edge was restarted"))
            elif held.ask_again:
                held.ask_again = False
                self._send(held.item)
        for lane in self._lanes.values():
            # Whatever kept a partner from being reached, this process of the edge has not tried yet.
            lane.due = 0.0
            if lane.timer is not None:
                lane.timer.cancel()
                lane.timer = None
        self.pump_all()

    def untouched(self, deliveries: list[str]) -> None:
        """An edge said goodbye and never looked at these."""
        for delivery in deliveries:
            held = self._held.get(int(delivery.rpartition("-")[2]))
            if held is not None:
                self._apply(self._defer(held.item, 0.0, "the edge is shutting down"))
        self.pump_all()

    def outcome(self, outcome: Outcome) -> Change:
        """Take an edge's report; return what is to be committed together with the link's position."""
        prefix, _, number = outcome.delivery.rpartition("-")
        held = self._held.get(int(number)) if prefix == self._gateway.store.identity and number.isdigit() else None
        if held is None:
            return Change()  # told a second time, or of another store
        item = held.item
        gateway = self._gateway
        if outcome.state == "delivered":
            label = gateway.counters.partners.label(item.partner)
            if item.kind == "message":
                gateway.counters.delivered.labels("to_xmpp", label).inc()
                gateway.counters.latency.observe(max(0.0, gateway.clock() - item.created))
            gateway.log.info("xmpp-delivered", correlation=item.correlation, kind=item.kind)
            self._let_go(item)
            gateway.left(item)
            return Change((Finish(item.id),))
        if outcome.state == "deferred":
            return self._defer(item, outcome.retry_after, outcome.text)
        if outcome.state == "unknown":
            failure = replace(MAYBE_DELIVERED, text=f"{MAYBE_DELIVERED.text}: {outcome.text}")
        else:
            failure = Failure(outcome.condition or "undefined-condition", outcome.text)
        return self._finish(item, failure)

    def expire(self, now: float) -> None:
        """Return what waits for too long."""
        for lane in list(self._lanes.values()):
            lane.queued = dated(lane.queued, now)
            while lane.queued and lane.queued[0].expires <= now:
                item = lane.queued.popleft()
                self._apply(self._finish(item, LATE))
        for held in list(self._held.values()):
            held.item = dated_item(held.item, now)
            if held.item.expires + GRACE_SECONDS <= now:
                # The edge has let the time pass as well, and says nothing: it is gone for good.
                self._end(held.item, MAYBE_DELIVERED)

    # Sending.

    def pump_all(self) -> None:
        """An edge can be reached: send what waits."""
        for name in list(self._lanes):
            self._pump(name)

    def _link(self, name: str, lane: _Lane) -> tuple[str, str] | None:
        if self._gateway.draining:
            return None
        return self._gateway.links.choose(name, lane.carrier if lane.away else None)

    def _pump(self, name: str) -> None:
        lane = self._lanes.get(name)
        if lane is None:
            return
        if not lane.queued:
            empty = not (lane.uncommitted or lane.away)
            if empty and lane.timer is None and lane.due <= self._loop.time():
                del self._lanes[name]
            return
        wait = lane.due - self._loop.time()
        if wait > 0:
            if lane.timer is None:
                lane.timer = self._loop.call_later(wait, self._due, name)
            return
        link = self._link(name, lane) if self._has_room(lane) else None
        if link is None:
            return  # asked again when a link opens, has room or is given up, or when something comes back
        edge, session = link
        holder = f"{edge}|{session}"
        batch: list[Item] = []
        while lane.queued and len(batch) < BATCH and self._has_room(lane):
            item = replace(lane.queued.popleft(), holder=holder)
            self._count_away(item, link)
            self._held[item.id] = _Held(item, edge, session)
            batch.append(item)

        def done(_: tuple[bool, ...]) -> None:
            for item in batch:
                self._send(item)
            self._pump(name)

        self._gateway.commit([Hold(item.id, holder) for item in batch], done)

    # What is away: an edge is never given more of a lane than it can queue.

    def _has_room(self, lane: _Lane) -> bool:
        limits = self._gateway.settings.limits
        return lane.away < limits.lane_window_messages and lane.away_bytes < limits.lane_window_bytes

    def _count_away(self, item: Item, carrier: tuple[str, str]) -> None:
        lane = self._lanes.setdefault(item.lane, _Lane())
        lane.carrier = carrier
        lane.away += 1
        lane.away_bytes += len(item.payload)

    def _let_go(self, item: Item) -> None:
        """No edge has it any more, if one had."""
        if self._held.pop(item.id, None) is not None:
            self._count_back(item)

    def _count_back(self, item: Item) -> None:
        lane = self._lanes[item.lane]
        lane.away -= 1
        lane.away_bytes -= len(item.payload)
        if lane.queued:
            self._loop.call_soon(self._pump, item.lane)

    def _due(self, name: str) -> None:
        lane = self._lanes.get(name)
        if lane is not None:
            lane.timer = None
            self._pump(name)

    def _send(self, item: Item) -> None:
        held = self._held.get(item.id)
        if held is None:
            return  # returned meanwhile
        item = held.item  # its times may be others by now
        payload = kept(item.payload, OutgoingKept)
        message = Deliver(
            delivery=self._gateway.delivery_name(item.id),
            correlation=item.correlation,
            local=payload.local,
            remote=payload.remote,
            data=payload.data,
            expires=item.expires,
        )
        if not self._gateway.links.send(held.edge, held.session, message):
            # That process is gone or takes no more, and has never seen this item.
            self._apply(self._defer(item, 0.0, "the edge cannot be reached"))

    # Ends.

    def _defer(self, item: Item, seconds: float, reason: str) -> Change:
        gateway = self._gateway
        attempts = item.attempts + 1
        pause = max(seconds, gateway.backoff(item.attempts) if seconds or item.attempts else 0.0)
        not_before = gateway.clock() + pause
        if not_before >= item.expires:
            return self._finish(item, Failure("remote-server-timeout", reason))
        self._let_go(item)
        lane = self._lanes.setdefault(item.lane, _Lane())
        lane.put_back(replace(item, holder="", attempts=attempts, not_before=not_before))
        lane.due = max(lane.due, self._loop.time() + pause)
        gateway.counters.retried.labels("to_xmpp", gateway.counters.partners.label(item.partner)).inc()
        gateway.log.info(
            "message-deferred", correlation=item.correlation, direction="to_xmpp", attempts=attempts, reason=reason
        )
        self._loop.call_soon(self._pump, item.lane)
        return Change((Defer(item.id, not_before, attempts),))

    def _end(self, item: Item, failure: Failure) -> None:
        self._apply(self._finish(item, failure))

    def _apply(self, change: Change) -> None:
        self._gateway.commit(change.operations, lambda _: adopted(self._gateway, change.follow))

    def _finish(self, item: Item, failure: Failure) -> Change:
        gateway = self._gateway
        self._let_go(item)
        gateway.left(item)
        follow = adopt(gateway, returned(gateway, item, failure))
        return Change((Finish(item.id, follow),), follow)
