"""What is known of a platform that cannot be asked: the newest word on each user and each route counts.

An export says how things were when it was written. What a run has seen since on the platform (through the management
host) or in an export, the journal keeps with the moment. Whoever was asked to change something may have done so at any
time: from then on nothing is known until somebody has looked. Used by SeenPlatforms and the action `handover`. Reads
the exports; talks to no host.
"""

from __future__ import annotations

import math

from ansible_collections.xmppgw.migration.plugins.plugin_utils import exported_platform


def table(environment, history, name):
    """Return {key: value} of a table; the value of a route that somebody may be moving is None: nobody knows."""
    read = {"homing": exported_platform.homing, "route": exported_platform.routes}[name]
    standing, written = read(environment), exported_platform.written_at(environment, name)
    if name == "homing":
        seen = {user: home for user, (home, at) in history.homes_seen.items() if at > written and user in standing}
        gone = _seen_to_have_left(history, written)
        return {user: home for user, home in {**standing, **seen}.items() if user not in gone}
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


def absent(environment, standing, users):
    """Return those of `users` whom a table does not know at all, as far as it can tell.

    One that knows none of them is empty, or of somewhere else. A single user may well be the one who left, if the table
    has others on our pools; and whom the document excepts by name may be missing from any.
    """
    unknown = {user for user in users if user not in standing}
    ours = environment.homes.values()
    if len(unknown) < len(users) or (len(users) == 1 and any(home in ours for home in standing.values())):
        return unknown
    return {user for user in unknown if environment.address_of(user) in environment.excepted}


def left(environment, history, users, *, since=math.inf):
    """Return those of `users` who left the platform: an export that is newer than the last word on them does not know
    them, or the platform itself did not when it was last asked.

    `since`: when a move was asked for of which the journal does not know yet; without it a user on whom there is no
    word has not left.
    """
    standing = exported_platform.homing(environment)
    written = exported_platform.written_at(environment, "homing")
    words = {user: at for user, (_home, at) in history.homes_seen.items()}
    for wave, word in history.waves_asked.items():
        words.update({user: max(word["at"], words.get(user, 0.0)) for user in history.waves.get(wave, ())})
    begun = {user for wave in history.waves.values() for user in wave}
    missing = {user for user in absent(environment, standing, {*users, *begun}) if written > words.get(user, since)}
    return {*users} & (missing | _seen_to_have_left(history, written))


def _seen_to_have_left(history, written):
    """Return the users whom the platform was seen not to know, after the export was `written` and after all else."""
    return {
        user
        for user, at in history.homes_left.items()
        if at > max(written, history.homes_seen.get(user, (None, 0.0))[1])
    }


def elsewhere(environment, history, name, entries, *, newer_than=0.0, since=math.inf):
    """Return (keys of `entries` that are not as they should be, or of which no export newer than `newer_than` tells;
    users who left since, or since the journal's last word on them)."""
    wanted = {entry["key"]: entry["value"] or "legacy" for entry in entries}
    if newer_than and exported_platform.written_at(environment, name) <= newer_than:
        return sorted(wanted), []
    gone = left(environment, history, wanted, since=newer_than or since) if name == "homing" else set()
    # An export newer than what was asked for is the newest word there is.
    read = {"homing": exported_platform.homing, "route": exported_platform.routes}[name]
    standing = read(environment) if newer_than else table(environment, history, name)
    open_keys = sorted(key for key, value in wanted.items() if standing.get(key) != value and key not in gone)
    return open_keys, sorted(gone)
