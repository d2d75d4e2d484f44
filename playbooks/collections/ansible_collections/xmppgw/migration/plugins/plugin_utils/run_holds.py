"""Where a run stops though there is more to do: holds of the document, and a maintenance window that has not begun.

Used by the actions `plan` (which steps take part) and `status`. Pure. A hold before a step that is done does not count:
what is repaired there later is no cut.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import window as windows
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

STEPS = range(1, 7)


def confirmed_steps(text):
    """Return the steps of `-e confirm=5,6`; raise PictureError."""
    words = [word.strip() for word in str(text or "").split(",") if word.strip()]
    if bad := [word for word in words if not (word.isdigit() and int(word) in STEPS)]:
        raise PictureError("migration-confirm", f"confirm takes steps from 1 to 6, found {', '.join(bad)}.")
    return sorted({int(word) for word in words})


def holds(federation, history, confirmed, window, *, any_time=False):
    """Return {step: why a run stops before it}, over all steps that are not done.

    `any_time`: somebody has accepted to run outside the window.
    """
    found = {}
    for step in STEPS:
        if step in history.done:
            continue
        if step in federation.holds and step not in confirmed and step not in history.confirmed:
            found[step] = f"held before step {step}: run again with -e confirm={step}"
        elif step in windows.WINDOW_STEPS and not any_time and window.opens is not None and window.now < window.opens:
            found[step] = f"held before step {step}: the maintenance window is {window.says()}"
    return found


def first_hold(found, pending):
    """Return (step, why) of the first hold that this run would meet, or None. `pending`: step to whether it has
    work."""
    return next(((step, found[step]) for step in sorted(found) if pending.get(str(step))), None)
