"""Guards on time: steps 5 and 6 run inside the maintenance window only (R4, R6)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard

WINDOW_STEPS = (5, 6)
"""R6: what partners notice; R4: certificate, gateway and DNS work belongs together."""


@dataclass
class Window:
    """What these guards look at; epoch seconds, None where the document has no window."""

    opens: float | None = None
    closes: float | None = None
    now: float = 0.0

    def says(self):
        """Return the window in words."""
        return " to ".join(_moment(epoch) for epoch in (self.opens, self.closes))


def _moment(epoch):
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def read(picture):
    """Return the Window of a Picture."""
    window = picture.environment.federation.maintenance_window
    if window is None:
        return Window(now=picture.now)
    return Window(window.opens.timestamp(), window.closes.timestamp(), picture.now)


@guard("migration-window", accepted_as="the step runs outside the maintenance window")
def inside_the_window(situation):
    """R6: a change of the federation route is noticed, so it has its time. Before the window a run is held, not
    refused: see run_holds."""
    window = situation.window
    if situation.step not in WINDOW_STEPS or situation.step <= situation.done or window.opens is None:
        return []
    if window.now < window.opens and situation.preflight:
        return []
    if window.opens <= window.now < window.closes:
        return []
    return [
        Refusal(
            "migration-window",
            "Steps 5 and 6 run inside the maintenance window only (R6).",
            f"the window is {window.says()}, and it {'is over' if window.now >= window.closes else 'has not begun'}",
            "Run again inside it, or give the document a new maintenance_window.",
        )
    ]
