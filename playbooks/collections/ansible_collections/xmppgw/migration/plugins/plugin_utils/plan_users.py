"""Plan, users: who moves in step 3.

Called by whole_plan. Pure but for `planned`, which reads the Picture.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner


def planned(picture):
    """Return the moves of step 3."""
    homes = picture.environment.homes
    return list(homing_actions(picture.platforms.tables("homing"), homes.get("legacy", ""), homes["target"]))


def homing_actions(seen, source, target):
    """Yield the moves of step 3: every user whose home is not `target` on every platform. `seen`: pool -> {user:
    pool}."""
    users = sorted({user for table in seen.values() for user in table})
    for user in users:
        homes = sorted({str(table.get(user)) for table in seen.values()})
        if homes != [target]:
            before = source if source in homes else homes[0]
            yield planner.action(3, "homing", user, f"Move {user} to {target}", before, target)
