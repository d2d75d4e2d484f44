"""What an earlier process left in the store, read back a page at a time: loaded, or returned before it is ever loaded.

Called by the daemon at start, before anything can come in. Never holds more than the queue's own limits and one page:
a process that was killed for its memory must not be killed again by what it had kept.
"""

from __future__ import annotations

from dataclasses import replace

from xmppgw.frontend.context import FULL, FrontEndContext
from xmppgw.frontend.returns import returned
from xmppgw.frontend.sip_lanes import LATE, MAYBE_DELIVERED
from xmppgw.frontend.xmpp_lanes import GRACE_SECONDS
from xmppgw.store.interface import Finish, Item
from xmppgw.translate.neutral import Failure


async def recover(gateway: FrontEndContext) -> int:
    """Load the lanes from the store; how many items they have now. Raises StoreProblem."""
    loaded = after = 0
    # What follows from a return is committed with it, gets a higher id, and so comes on a later page.
    while page := await gateway.store.unfinished(after):
        after = page[-1].id
        ended: list[Finish] = []
        for item in page:
            failure = _verdict(gateway, item)
            if failure is not None:
                ended.append(Finish(item.id, returned(gateway, item, failure)))
                continue
            loaded += 1
            if item.direction == "to_sip":
                gateway.sip_lanes.load(item)
            else:
                gateway.xmpp_lanes.load(item)
        if ended:
            await gateway.store.submit(ended)
    return loaded


def _verdict(gateway: FrontEndContext, item: Item) -> Failure | None:
    """Why an item is not loaded; None if it is.

    Ids rise with acceptance, so what was accepted under the limits of today finds room again: only what an earlier
    release or higher limits let in does not.
    """
    now = gateway.clock()
    if item.holder and item.direction == "to_sip":
        return MAYBE_DELIVERED
    # Of what an edge may have, the edge itself says that it is late.
    if item.expires + (GRACE_SECONDS if item.holder else 0.0) <= now:
        return MAYBE_DELIVERED if item.holder else LATE
    if gateway.full(item.partner) if item.kind == "message" else gateway.overfull:
        return replace(MAYBE_DELIVERED, text=f"{MAYBE_DELIVERED.text}: {FULL.text}") if item.holder else FULL
    return None
