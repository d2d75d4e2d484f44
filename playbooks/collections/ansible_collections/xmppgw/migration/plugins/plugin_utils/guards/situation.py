"""What the guards look at: the step about to start, and per topic the facts that its guards need."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import (
    dns,
    document,
    edges,
    legacy,
    outside,
    partners,
    platform,
    users,
    window,
)


@dataclass
class Situation:
    """The facts of one moment. A topic's facts are described in its own module."""

    step: int
    """The step about to start; in preflight, each step that has something to do."""
    preflight: bool = False
    """True while earlier steps have not run yet: their planned effects count as done."""
    done: int = 0
    """The last step such that it and all before are journalled as done."""
    users: users.Users = field(default_factory=users.Users)
    partners: partners.Partners = field(default_factory=partners.Partners)
    edges: edges.Edges = field(default_factory=edges.Edges)
    dns: dns.Dns = field(default_factory=dns.Dns)
    document: document.Document = field(default_factory=document.Document)
    legacy: legacy.Legacy = field(default_factory=legacy.Legacy)
    outside: outside.Outside = field(default_factory=outside.Outside)
    platform: platform.Platform = field(default_factory=platform.Platform)
    window: window.Window = field(default_factory=window.Window)


def situation_of(picture, step, *, preflight=False):
    """Return what the guards look at before `step`."""
    return Situation(
        step=step,
        preflight=preflight,
        done=picture.history.step,
        users=users.read(picture),
        partners=partners.read(picture),
        edges=edges.read(picture),
        dns=dns.read(picture),
        document=document.read(picture),
        legacy=legacy.read(picture),
        outside=outside.read(picture),
        platform=platform.read(picture),
        window=window.read(picture),
    )
