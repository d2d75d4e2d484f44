"""Messages on their way to SIP users: one lane per user, one MESSAGE at a time, retried until it is too old.

Called by `frontend.intake` with what was committed and by `frontend.sip_leg` with responses. An item is marked as held
in the store before it leaves, so that after a crash nobody sends it a second time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.payloads import NoticeKept, StanzaKept, kept
from xmppgw.frontend.returns import returned, stanza_of
from xmppgw.sip.connection import OutgoingRequest
from xmppgw.sip.message import Response
from xmppgw.store.interface import Defer, Finish, Hold, Item
from xmppgw.translate.addresses import UnmappableAddressError
from xmppgw.translate.errors import failure_from_status
from xmppgw.translate.messages import Deliver, StanzaPolicy, from_stanza, notice_request, to_request
from xmppgw.translate.neutral import Failure, Message, Notice
from xmppgw.xmpp.address import JID

#: Holder of an item that may be on its way to the platform.
HOLDER = "sip"
#: Final responses that say: not processed, come again. All others are final for the sender too.
RETRIED_STATUSES = frozenset({503})
#: Messages kept in readable form beside the store, until they have been sent for the first time.
MAXIMUM_READ = 1_024
MAYBE_DELIVERED = Failure("remote-server-timeout", "the gateway cannot tell whether it was delivered")
LATE = Failure("remote-server-timeout", "it could not be delivered in time")


class _Lane:
    __slots__ = ("busy", "due", "items", "timer", "uncommitted")

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        #: The head is held, being held, or being finished.
        self.busy = False
        #: Accepted items whose commit is under way.
        self.uncommitted = 0
        #: When the head may leave, on the loop's clock: setting the wall clock must not stop a lane.
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None


class SipLanes:
    """All lanes towards the platform."""

    def __init__(self, gateway: FrontEndContext) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, _Lane] = {}
        #: Lanes whose head could leave but for the number of requests outstanding.
        self._waiting: deque[str] = deque()
        self.outstanding = 0
        #: What intake has read already of items that will leave soon.
        self._read: dict[int, Message] = {}

    def load(self, item: Item) -> None:
        """Take over what an earlier process left and never sent; in the order of ids."""
        gateway = self._gateway
        gateway.entered(item)
        lane = self._lanes.setdefault(item.lane, _Lane())
        if not lane.items:
            # Never longer than our own longest pause: the clock may have been set back since.
            wait = min(item.not_before - gateway.clock(), gateway.settings.limits.retry_maximum_seconds)
            lane.due = self._loop.time() + max(wait, 0.0)
        lane.items.append(item)

    def pump_all(self) -> None:
        """The next hop can be reached: send what waits."""
        for name in list(self._lanes):
            self._pump(name)

    def read(self, item: int, message: Message) -> None:
        """Before `prepare`: what the stanza of that item says, so that it need not be parsed again soon."""
        if len(self._read) < MAXIMUM_READ:
            self._read[item] = message

    def prepare(self, item: Item) -> Item:
        """Before the commit of a new item: hold it at once if it can leave at once."""
        lane = self._lanes.setdefault(item.lane, _Lane())
        lane.uncommitted += 1
        if lane.busy or lane.items or lane.uncommitted > 1 or not self._may_send():
            return item
        lane.busy = True
        self.outstanding += 1
        return replace(item, holder=HOLDER)

    def committed(self, item: Item, *, new: bool) -> None:
        """After the commit: the item is in the store, or (`new` false) was a repetition and is not."""
        lane = self._lanes[item.lane]
        lane.uncommitted -= 1
        held = item.holder == HOLDER
        if new:
            if held:
                lane.items.appendleft(item)
                self._send(item)
                return
            lane.items.append(item)
        else:
            self._read.pop(item.id, None)
            if held:
                lane.busy = False
                self.outstanding -= 1
        self._pump(item.lane)

    def expire(self, now: float) -> None:
        """Return what waits for too long."""
        for lane in list(self._lanes.values()):
            lane.items = dated(lane.items, now)
            while lane.items and not lane.busy and lane.items[0].expires <= now:
                item = lane.items.popleft()
                lane.due = 0.0
                self._finish_unsent(item, LATE)

    @property
    def depth(self) -> int:
        """Items in all lanes."""
        return sum(len(lane.items) for lane in self._lanes.values())

    @property
    def oldest(self) -> float | None:
        """When the item that has been here longest was accepted (seconds since the epoch); None where none is."""
        return min((lane.items[0].created for lane in self._lanes.values() if lane.items), default=None)

    # Sending.

    def _may_send(self) -> bool:
        gateway = self._gateway
        return gateway.sip.ready and not gateway.draining and self.outstanding < gateway.settings.limits.sip_outstanding

    def _pump(self, name: str) -> None:
        lane = self._lanes.get(name)
        if lane is None or lane.busy:
            return
        if not lane.items:
            if not lane.uncommitted and lane.timer is None:
                del self._lanes[name]
            return
        gateway = self._gateway
        head = lane.items[0]
        wait = lane.due - self._loop.time()
        if wait > 0:
            if lane.timer is None:
                lane.timer = self._loop.call_later(wait, self._due, name)
            return
        if not self._may_send():
            if gateway.sip.ready and not gateway.draining:
                self._waiting.append(name)
            return
        lane.busy = True
        self.outstanding += 1
        gateway.commit([Hold(head.id, HOLDER)], lambda _: self._send(head))

    def _due(self, name: str) -> None:
        lane = self._lanes.get(name)
        if lane is not None:
            lane.timer = None
            self._pump(name)

    def _send(self, item: Item) -> None:
        gateway = self._gateway
        if item.kind == "notice":
            task = self._loop.create_task(self._send_notice(item))
            task.add_done_callback(lambda done: gateway.fail(error) if (error := done.exception()) else None)
            return
        message = self._read.pop(item.id, None)
        if message is None:
            decision = from_stanza(stanza_of(gateway, kept(item.payload, StanzaKept).data), StanzaPolicy())
            if not isinstance(decision, Deliver):
                # Written by another version with other rules.
                self._end(item, Failure("internal-server-error", "the message cannot be read any more"))
                return
            message = decision.message
        try:
            request = to_request(
                message, call_id=f"{gateway.token()}@{gateway.settings.node}", from_tag=gateway.token()
            )
        except UnmappableAddressError as problem:
            self._end(item, Failure("service-unavailable", str(problem)))
            return
        self._transmit(item, request)

    async def _send_notice(self, item: Item) -> None:
        gateway = self._gateway
        payload = kept(item.payload, NoticeKept)
        in_reply_to = payload.in_reply_to
        sender, recipient = JID.parse(payload.sender), JID.parse(payload.recipient)
        if in_reply_to is None and payload.reference:
            sent = await gateway.store.find_sent(payload.reference)
            # Only whom the message was for may say what became of it.
            if sent is not None and (sent.recipient, sent.sender) == (str(sender.bare), str(recipient.bare)):
                in_reply_to = sent.call_id
        failure = Failure(payload.condition, payload.text, payload.error_type)
        try:
            request = notice_request(
                Notice(sender, recipient, failure, payload.reference, in_reply_to),
                call_id=f"{gateway.token()}@{gateway.settings.node}",
                from_tag=gateway.token(),
            )
        except UnmappableAddressError as problem:
            self._end(item, Failure("service-unavailable", str(problem)))
            return
        self._transmit(item, request)

    def _transmit(self, item: Item, request: OutgoingRequest) -> None:
        gateway = self._gateway
        problem = gateway.sip.send(request, item)
        if problem:
            # Nothing has left: the item is free again.
            self._put_off(item, 0.0, problem)
            return
        gateway.log.info(
            "sip-sent",
            correlation=item.correlation,
            kind=item.kind,
            call_id=request.call_id,
            reference=kept(item.payload, NoticeKept).reference if item.kind == "notice" else None,
        )

    # What the platform says.

    def answered(self, item: Item, response: Response) -> None:
        """A final response."""
        gateway = self._gateway
        status = response.status
        if 200 <= status < 300:
            label = gateway.counters.partners.label(item.partner)
            if item.kind == "message":
                gateway.counters.delivered.labels("to_sip", label).inc()
                gateway.counters.latency.observe(max(0.0, gateway.clock() - item.created))
            gateway.log.info("sip-delivered", correlation=item.correlation, status=status, kind=item.kind)
            self._finish(item, ())
        elif status in RETRIED_STATUSES:
            self._put_off(item, _retry_after(response), f"the platform answered {status}")
        else:
            self._end(item, failure_from_status(status, response.reason))

    def unanswered(self, item: Item, reason: str) -> None:
        """No final response, and there will be none: nobody knows whether it arrived."""
        self._end(item, replace(MAYBE_DELIVERED, text=f"{MAYBE_DELIVERED.text}: {reason}"))

    # Ends.

    def _end(self, item: Item, failure: Failure) -> None:
        self._finish(item, returned(self._gateway, item, failure))

    def _finish(self, item: Item, follow: tuple[Item, ...]) -> None:
        gateway = self._gateway
        lane = self._lanes[item.lane]
        assert lane.items
        assert lane.items[0].id == item.id
        lane.items.popleft()
        follow = adopt(gateway, follow)
        operations: list[Finish | Hold] = [Finish(item.id, follow)]
        following: Item | None = None
        head = lane.items[0] if lane.items else None
        if head is not None and gateway.sip.ready and not gateway.draining:
            # The next one leaves with the same disk flush; the place that became free is its.
            following = head
            operations.append(Hold(head.id, HOLDER))

        def done(_: tuple[bool, ...]) -> None:
            gateway.left(item)
            adopted(gateway, follow)
            if following is not None:
                self._send(following)
                return
            lane.busy = False
            self.outstanding -= 1
            self._pump(item.lane)
            self._next_waiting()

        gateway.commit(operations, done)

    def _finish_unsent(self, item: Item, failure: Failure) -> None:
        gateway = self._gateway
        self._read.pop(item.id, None)
        follow = adopt(gateway, returned(gateway, item, failure))

        def done(_: tuple[bool, ...]) -> None:
            gateway.left(item)
            adopted(gateway, follow)
            self._pump(item.lane)

        gateway.commit([Finish(item.id, follow)], done)

    def _put_off(self, item: Item, seconds: float, reason: str) -> None:
        gateway = self._gateway
        lane = self._lanes[item.lane]
        item = lane.items[0]  # its times may be others by now
        attempts = item.attempts + 1
        pause = max(seconds, gateway.backoff(item.attempts))
        not_before = gateway.clock() + pause
        if not_before >= item.expires:
            self._end(item, Failure("remote-server-timeout", reason))
            return
        lane.items[0] = replace(item, holder="", attempts=attempts, not_before=not_before)
        lane.due = self._loop.time() + pause
        gateway.counters.retried.labels("to_sip", gateway.counters.partners.label(item.partner)).inc()
        gateway.log.info(
            "message-deferred", correlation=item.correlation, direction="to_sip", attempts=attempts, reason=reason
        )

        def done(_: tuple[bool, ...]) -> None:
            lane.busy = False
            self.outstanding -= 1
            self._pump(item.lane)
            self._next_waiting()

        gateway.commit([Defer(item.id, not_before, attempts)], done)

    def _next_waiting(self) -> None:
        while self._waiting and self._may_send():
            self._pump(self._waiting.popleft())


def adopt(gateway: FrontEndContext, follow: tuple[Item, ...]) -> tuple[Item, ...]:
    """Before the commit of items that follow from another's end: count them, let their lanes prepare them."""
    for item in follow:
        gateway.entered(item)
    return tuple(
        gateway.sip_lanes.prepare(item) if item.direction == "to_sip" else gateway.xmpp_lanes.prepare(item)
        for item in follow
    )


def adopted(gateway: FrontEndContext, follow: tuple[Item, ...], *, new: bool = True) -> None:
    """After the commit: the items are their lanes' now, unless they are there already."""
    for item in follow:
        if not new:
            gateway.left(item)
        if item.direction == "to_sip":
            gateway.sip_lanes.committed(item, new=new)
        else:
            gateway.xmpp_lanes.committed(item, new=new)


def dated(items: deque[Item], now: float) -> deque[Item]:
    """Give items of the future an age of nothing and their whole time: the clock was set back since they were made.

    Looks at the ends only, as long as they are not of the future. Without it a lane would not let go of anything for as
    long as the clock was set back.
    """
    if not items or max(items[0].created, items[-1].created) <= now:
        return items
    return deque(dated_item(item, now) for item in items)


def dated_item(item: Item, now: float) -> Item:
    """The same for one item."""
    return item if item.created <= now else replace(item, created=now, expires=now + item.expires - item.created)


def _retry_after(response: Response) -> float:
    value = (response.header("Retry-After") or "").split(";")[0].split("(")[0].strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) <= 4 else 0.0
