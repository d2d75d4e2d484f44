"""What is known of a platform that cannot be asked: the newest word on each user and each route counts.

An export says how things were when it was written. What a run has seen since on the platform (through the management
host) or in an export, the journal keeps with the moment. Whoever was asked to change something may have done so at any
time: from then on nothing is known until somebody has looked. Used by SeenPlatforms and the action `handover`. Reads
the exports; talks to no host.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import exported_platform


def table(environment, history, name):
    """Return {key: value} of a table; the value of a route that somebody may be moving is None: nobody knows."""
    read = {"homing": exported_platform.homing, "route": exported_platform.routes}[name]
    standing, written = read(environment), exported_platform.written_at(environment, name)
    if name == "homing":
        seen = {user: home for user, (home, at) in history.homes_seen.items() if at > written and user in standing}
        return {**standing, **seen}
    for partner, word in history.routes_seen.items():
        if word["at"] > written and partner in standing:
            standing[partner] = "target" if word["to"] == "target" else "legacy"
    for partner, asked in history.routes_asked.items():
        if asked["at"] >= written and partner in standing:
            standing[partner] = None
    return standing


def asked(history, name, subject, *, back):
    """Return (whether somebody may be moving `subject`, since when it was asked for in this direction or None)."""
    found = (history.waves_asked if name == "homing" else history.routes_asked).get(subject)
    if found is None:
        return False, None
    same = found["back"] == back if name == "homing" else (found["to"] != "target") == back
    return True, found["at"] if same else None


def elsewhere(environment, history, name, entries, *, newer_than=0.0):
    """Return the keys of `entries` that are not as they should be, or of which no export newer than `newer_than`
    tells."""
    wanted = {entry["key"]: entry["value"] or "legacy" for entry in entries}
    if newer_than and exported_platform.written_at(environment, name) <= newer_than:
        return sorted(wanted)
    # An export newer than what was asked for is the newest word there is.
    read = {"homing": exported_platform.homing, "route": exported_platform.routes}[name]
    standing = read(environment) if newer_than else table(environment, history, name)
    return sorted(key for key, value in wanted.items() if standing.get(key) != value)
