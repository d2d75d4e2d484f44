#!/usr/bin/python
"""Keep what the platforms hold of a wave's users, before they move, as a file of the migration's state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wave_export
short_description: Keep what the platforms hold of a wave's users
description:
  - Writes C(waves/<wave>.json) under O(directory), for root only, atomically.
  - What an earlier run kept of a user stays. After a killed run the platform may hold what that run wrote.
options:
  directory:
    description: The migration's state directory.
    type: path
    default: /var/lib/xmppgw-migration
  wave:
    description: Name of the wave.
    type: str
    required: true
  held:
    description: Platform to user to rows. May be people's contact lists, so it is never logged.
    type: dict
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Keep the pilot's rows
  xmppgw.migration.wave_export:
    wave: 0-pilot
    held: {pool-legacy: {alice: {homing: pool-legacy}}}
"""
RETURN = r"""
path:
  description: The file.
  type: str
  returned: always
users:
  description: How many users it has rows of.
  type: int
  returned: always
"""

import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import state_directory  # noqa: E402

ARGUMENTS = {
    "directory": {"type": "path", "default": "/var/lib/xmppgw-migration"},
    "wave": {"type": "str", "required": True},
    "held": {"type": "dict", "required": True, "no_log": True},
}
SUPPORTS_CHECK_MODE = True

SCHEMA = 1


class ExportError(Exception):
    """An earlier export that cannot be read: it must not be written over."""


def earlier(path):
    """Return what a file holds already; raise ExportError if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {platform: dict(users) for platform, users in content["held"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path}: {error}") from error


def merged(before, held):
    """Return both; where both have a user, the earlier rows."""
    return {platform: {**held.get(platform, {}), **before.get(platform, {})} for platform in sorted({*before, *held})}


def keep(path, wave, held):
    """Write the file unless it holds all this already. Returns (changed, number of users)."""
    before = earlier(path)
    whole = merged(before, held)
    count = len({user for users in whole.values() for user in users})
    if whole == before:
        return False, count
    path.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"schema": SCHEMA, "wave": wave, "held": whole}, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    state_directory.sync_directory(path.parent)
    return True, count


def run(module):
    """Run the module."""
    wave = module.params["wave"]
    if not re.fullmatch(r"[a-z0-9-]{1,80}", wave):
        module.fail_json(msg=f"[migration-wave] {wave!r} is no name of a wave", code="migration-wave")
    if module.check_mode:
        module.exit_json(changed=False, path="", users=0)
    try:
        with state_directory.exclusively(module.params["directory"]) as folder:
            path = folder / "waves" / f"{wave}.json"
            _changed, count = keep(Path(path), wave, module.params["held"])
    except (ExportError, OSError) as problem:
        module.fail_json(msg=f"[migration-wave] The users' data could not be kept: {problem}", code="migration-wave")
    # Like the journal: the run's own memory, not a change of the world.
    module.exit_json(changed=False, path=str(path), users=count)
