"""How the switch of one partner went, judged from what was seen at our edges and at the legacy gateway.

Used by the action `judge_arrival`. Pure: observations in, a verdict out.
"""

from __future__ import annotations


def arrival(*, inbound, closed, left, seconds, over=True):
    """Return {state, reason}: `here`, `static?`, or "" while it is not known yet and there is time left.

    `inbound`: streams of the partner that end at our edges. `closed`: how many the legacy gateway closed before, None
    where nothing closes them (drain provider `wait`).
    `left`: pairs, "from to", that the legacy gateway still has (or has again) although the edges answer for the
    partner: its server does not follow DNS. `seconds`: how long was waited; `over`: whether that was the whole time.
    """
    if left:
        what = f"is at the legacy gateway again ({'; '.join(left)}) although DNS and every edge say otherwise"
        return {"state": "static?", "reason": f"{what}; it may have our old host in its configuration"}
    if inbound:
        return {"state": "here", "reason": ""}
    if not over:
        return {"state": "", "reason": ""}
    if closed is None:
        open_still = "it may use one that it opened before: switch it again once that has ended"
        return {
            "state": "static?",
            "reason": f"its server opened no stream to our edges within {seconds} s; {open_still}",
        }
    if closed:
        return {"state": "static?", "reason": f"its stream was closed and did not come back within {seconds} s"}
    called = f"it had no stream at the legacy gateway and opened none within {seconds} s, though our edges called it"
    return {"state": "static?", "reason": called}
