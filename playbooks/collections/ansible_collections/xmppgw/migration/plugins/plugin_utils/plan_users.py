"""Plan, users: who moves in step 3, in which waves, and what takes them back.

Called by whole_plan and run_facts. Pure but for what takes a Picture. Users are addressed as the platform's table does;
the federation document names them as `user@domain`.
"""

from __future__ import annotations

from functools import lru_cache

from ansible_collections.xmppgw.migration.plugins.plugin_utils import newest_word, planner
from ansible_collections.xmppgw.migration.plugins.plugin_utils.waves import PILOT, waves_of


def planned(picture):
    """Return one action for each wave that still has somebody to move."""
    target = picture.environment.homes["target"]
    waves = chosen(picture)
    return [action_of(wave, homes, target) for wave, homes in waves if homes]


def to_move(picture):
    """Return the waves as the role `homing` takes them.

    A wave that an earlier run began and did not see healthy is among them even if all its users have moved by now: it
    is verified before the next one begins. Who left the platform since then is named and neither moved nor waited for.
    """
    target = picture.environment.homes["target"]
    settings = picture.environment.federation.users.waves
    everything = waves_with_homes(picture)
    found = [
        {
            "wave": wave.name,
            "number": wave.number,
            "of": len(everything),
            "digest": wave.digest(target),
            "before": by_home(homes),
            "entries": [
                {"key": user, "value": target, "home": home} for user, home in _asked_for(picture, wave, homes)
            ],
            "left": sorted(left(picture).intersection(_begun(picture, wave))),
            "maximum_failed": settings.health.maximum_failed,
            "timeout_seconds": settings.health.timeout_seconds,
            "pause_seconds": settings.pause_seconds,
        }
        for wave, homes in chosen(picture)
    ]
    if found:
        found[-1]["pause_seconds"] = 0
    return found


def to_move_back(picture):
    """Return the waves that were begun, the last one first, as the role `homing` takes them to move back."""
    legacy = picture.environment.homes.get("legacy")
    health = picture.environment.federation.users.waves.health
    waves, gone = list(picture.history.waves.items()), left(picture)
    return [
        {
            "wave": name,
            "number": number,
            "of": len(waves),
            "entries": [
                {"key": user, "value": home or legacy} for user, home in sorted(homes.items()) if user not in gone
            ],
            "left": sorted(gone.intersection(homes)),
            "maximum_failed": health.maximum_failed,
            "timeout_seconds": health.timeout_seconds,
        }
        for number, (name, homes) in reversed(list(enumerate(waves, start=1)))
    ]


def _asked_for(picture, wave, homes):
    """Yield (user, home before) of those of a wave who are still to move, or whom an earlier run began to move and did
    not see there."""
    begun, gone = _begun(picture, wave), left(picture)
    for user in wave.users:
        if user in homes or (user in begun and user not in gone):
            yield user, homes.get(user) or begun[user]


def _begun(picture, wave):
    """Return {user: home before} of a wave that an earlier run began and did not see healthy; empty for another."""
    return picture.history.waves[wave.name] if wave.name in picture.history.waves_open else {}


@lru_cache(maxsize=1)
def left(picture):
    """Return the users of waves that were begun whom the platform does not know any more: deleted, disabled for SIP, or
    with another address."""
    environment, history = picture.environment, picture.history
    begun = {user for users in history.waves.values() for user in users}
    if not begun:
        return frozenset()
    if not environment.platforms:
        return frozenset(newest_word.left(environment, history, begun))
    known = {user: home for table in picture.platforms.tables("homing").values() for user, home in table.items()}
    return frozenset(newest_word.absent(environment, known, begun))


def left_now(picture):
    """Return those of them for whom an open wave would wait, sorted."""
    waiting = {user for wave in picture.history.waves_open for user in picture.history.waves[wave]}
    return sorted(left(picture) & waiting)


def chosen(picture):
    """Return [(wave, {user: home now})] for the waves with somebody to move or to be verified."""
    return [
        (wave, homes)
        for wave, homes in waves_with_homes(picture)
        if (homes or wave.name in picture.history.waves_open) and (wave.name == PILOT or not picture.pilot_only)
    ]


@lru_cache(maxsize=1)
def waves_with_homes(picture):
    """Return [(wave, {user: home now, of those still to move})] for all waves of this migration.

    Nobody of a Survivable Branch Appliance is in any, whatever was decided about XMPP for them.

    A wave consists of those to move and those whom earlier runs of this migration moved: so it stays the same wave,
    with the same digest, however often a run was killed inside it.
    """
    environment = picture.environment
    homes = unmoved(
        picture.platforms.tables("homing"), environment.homes.get("legacy", ""), environment.homes["target"]
    )
    branch = picture.platforms.on_branches()
    homes = {user: home for user, home in homes.items() if user not in branch and not environment.stays(user)}
    begun = {user for users in picture.history.waves.values() for user in users if user not in branch}
    everybody = {
        *homes,
        *(user for user in begun if environment.address_of(user) not in environment.directory.survivable),
    }
    first = pilots(environment.federation)
    pilot = {user for user in everybody if environment.address_of(user) in first}
    waves = waves_of(everybody, pilot, environment.federation.users.waves.size)
    return [(wave, {user: homes[user] for user in wave.users if user in homes}) for wave in waves]


def pilots(federation):
    """Return the addresses of those who move first: the pilot wave's and the pilot's of the document."""
    return frozenset({*federation.users.waves.pilot, *federation.pilot.users})


def unmoved(seen, source, target):
    """Return {user: home} of those whose home is not `target` on every platform. `seen`: pool -> {user: pool}."""
    tables = list(seen.values())
    found = {}
    for user in {user for table in tables for user in table}:
        homes = {str(table.get(user)) for table in tables}
        if homes != {target}:
            found[user] = source if source in homes else min(homes - {target})
    return found


def by_home(homes):
    """Return {home: sorted users}."""
    found = {}
    for user in sorted(homes):
        found.setdefault(homes[user], []).append(user)
    return dict(sorted(found.items()))


def action_of(wave, homes, target):
    """Return a wave's action. Its digest is its own; the plan's does not cover it."""
    who = "the pilot" if wave.name == PILOT else f"wave {wave.number}"
    count = f"{len(homes)} user" + "s" * (len(homes) != 1)
    return planner.action(
        3,
        "homing",
        wave.name,
        f"Move {who}, {count}, to {target}",
        {home: len(users) for home, users in by_home(homes).items()},
        {"pool": target, "users": len(homes), "wave": wave.digest(target)},
    )
