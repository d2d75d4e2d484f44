#!/usr/bin/python
"""Write entries of a SIP platform's table, in the order given, and read each back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_table
short_description: Homing and route tables of a SIP platform
description:
  - The O(entries) are written in order and read back. An entry that already stands is not written.
  - Provider C(lab) speaks JSON-RPC to the Kamailio that stands in for the platform.
options:
  table:
    description: Which table.
    type: str
    choices: [homing, route]
    required: true
  entries:
    description: >-
      Entries in the order in which they are to be written. Keys key and value; a null value removes the entry.
    type: list
    elements: dict
    required: true
  provider:
    description: What kind of platform.
    type: str
    choices: [lab]
    default: lab
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Move alice
  xmppgw.migration.platform_table:
    table: homing
    entries: [{key: alice, value: pool-target.corp.example}]
"""
RETURN = r"""
written:
  description: Keys that were changed.
  type: list
  returned: always
"""

from ansible_collections.xmppgw.migration.plugins.module_utils import tables  # noqa: E402

ARGUMENTS = {
    "table": {"type": "str", "choices": ["homing", "route"], "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
    "provider": {"type": "str", "choices": ["lab"], "default": "lab"},
}
SUPPORTS_CHECK_MODE = True


def differing(standing, entries):
    """Return the entries that do not stand yet, in their order."""
    return [entry for entry in entries if standing.get(entry["key"]) != entry["value"]]


def lines(table, entries):
    """Return the entries' rows of a table as sorted text for --diff; the other rows are thousands, and not ours."""
    keys = sorted({entry["key"] for entry in entries} & set(table))
    return "".join(f"{key} -> {table[key]}\n" for key in keys)


def run(module):
    """Run the module."""
    table, entries = module.params["table"], module.params["entries"]
    try:
        with tables.Platform() as platform:
            before = platform.dump(table)
            to_write = differing(before, entries)
            if not module.check_mode:
                for entry in to_write:
                    platform.write(table, entry["key"], entry["value"])
            after = platform.dump(table) if to_write and not module.check_mode else before
    except tables.TableError as problem:
        module.fail_json(msg=f"[migration-unreachable] {problem}", code="migration-unreachable")
    still = [] if module.check_mode else differing(after, entries)
    if still:
        names = ", ".join(str(entry["key"]) for entry in still[:5])
        module.fail_json(
            msg=f"[migration-read-back] Table {table}: written but not there when read back: {names}",
            code="migration-read-back",
        )
    module.exit_json(
        changed=bool(to_write),
        written=[entry["key"] for entry in to_write],
        diff={"before": lines(before, entries), "after": lines(after, entries)},
    )
