#!/usr/bin/python
"""What a SIP platform holds of some users, and whether they are homed where they should be. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_users
short_description: Look at users of a SIP platform
description:
  - Returns the platform's rows of the users in O(entries), and those of them who are not homed where their entry says.
  - With O(limit) it waits until no more than O(tolerated) users are elsewhere. It never fails because of that.
options:
  entries:
    description: Keys key (the user) and value (the pool on which the user should be homed).
    type: list
    elements: dict
    required: true
  tolerated:
    description: How many users may be elsewhere without waiting on.
    type: int
    default: 0
  limit:
    description: Seconds to wait; 0 looks once.
    type: int
    default: 0
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: See where alice is
  xmppgw.migration.platform_users:
    entries: [{key: alice, value: pool-target}]
    limit: 60
"""
RETURN = r"""
rows:
  description: User to table to value, for the users whom the platform knows.
  type: dict
  returned: always
elsewhere:
  description: Users who are not homed where they should be, sorted.
  type: list
  returned: always
problem:
  description: Why the platform did not answer, or nothing.
  type: str
  returned: always
waited_s:
  description: Seconds spent waiting.
  type: float
  returned: always
"""

import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.module_utils import tables  # noqa: E402

POLL = 1.0
"""Seconds between two looks at a table that may have a hundred thousand rows."""


def look(entries):
    """Return (rows, users elsewhere, problem)."""
    try:
        homing = tables.dump("homing")
    except tables.TableError as problem:
        return {}, sorted(entry["key"] for entry in entries), str(problem)
    rows = {entry["key"]: {"homing": homing[entry["key"]]} for entry in entries if entry["key"] in homing}
    elsewhere = sorted(entry["key"] for entry in entries if homing.get(entry["key"]) != entry["value"])
    return rows, elsewhere, ""


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "entries": {"type": "list", "elements": "dict", "required": True},
            "tolerated": {"type": "int", "default": 0},
            "limit": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    wanted, started = module.params, time.monotonic()
    while True:
        rows, elsewhere, problem = look(wanted["entries"])
        waited = time.monotonic() - started
        if (len(elsewhere) <= wanted["tolerated"] and not problem) or waited >= wanted["limit"]:
            break
        time.sleep(POLL)
    module.exit_json(
        changed=False,
        rows=rows,
        elsewhere=elsewhere,
        problem=problem,
        waited_s=round(waited, 2) if waited > POLL else 0.0,
    )


if __name__ == "__main__":
    main()
