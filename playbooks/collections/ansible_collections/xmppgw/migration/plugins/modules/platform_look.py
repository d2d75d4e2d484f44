#!/usr/bin/python
"""Whether a SIP platform has what it should in one of its tables, and what it holds instead. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_look
short_description: Look at entries of a SIP platform's table
description:
  - Returns the platform's rows for the keys in O(entries), and those of them that are not as their entry says.
  - With O(limit) it waits until no more than O(tolerated) are otherwise. It never fails because of that.
options:
  table:
    description: Which table.
    type: str
    choices: [homing, route]
    default: homing
  entries:
    description: >-
      Keys key (a user, or a partner's domain) and value (its pool, or its gateway); a null value means no row.
    type: list
    elements: dict
    required: true
  tolerated:
    description: How many may be otherwise without waiting on.
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
  xmppgw.migration.platform_look:
    entries: [{key: alice, value: pool-target}]
    limit: 60
"""
RETURN = r"""
rows:
  description: Key to table to value, for the keys that the platform knows.
  type: dict
  returned: always
elsewhere:
  description: Keys whose row is not as it should be, sorted.
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

from ansible_collections.xmppgw.migration.plugins.module_utils import tables  # noqa: E402

ARGUMENTS = {
    "table": {"type": "str", "choices": ["homing", "route"], "default": "homing"},
    "entries": {"type": "list", "elements": "dict", "required": True},
    "tolerated": {"type": "int", "default": 0},
    "limit": {"type": "int", "default": 0},
}
SUPPORTS_CHECK_MODE = True

POLL = 1.0
"""Seconds between two looks at a table that may have a hundred thousand rows."""


def look(table, entries):
    """Return (rows, keys elsewhere, problem)."""
    try:
        standing = tables.dump(table)
    except tables.TableError as problem:
        return {}, sorted(entry["key"] for entry in entries), str(problem)
    rows = {entry["key"]: {table: standing[entry["key"]]} for entry in entries if entry["key"] in standing}
    elsewhere = sorted(entry["key"] for entry in entries if standing.get(entry["key"]) != entry["value"])
    return rows, elsewhere, ""


def run(module):
    """Run the module."""
    wanted, started = module.params, time.monotonic()
    while True:
        rows, elsewhere, problem = look(wanted["table"], wanted["entries"])
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
