#!/usr/bin/python
"""Build the front end's index from the table of users on this host, unless it is newer than the table."""

from __future__ import annotations

DOCUMENTATION = r"""
module: users_index
short_description: Index the table of users
description:
  - Has the installed gateway build the file in which the front end looks users up; the new file takes the old one's
    place whole, and a table that cannot be read leaves the old one as it is.
  - Nothing is done where the index is newer than the table.
options:
  table:
    description: The table that C(xmppgw user sync) wrote.
    type: path
    default: /etc/xmppgw/users.json
  index:
    description: Where the front end's settings say that the index is.
    type: path
    required: true
  program:
    description: The installed gateway's command.
    type: path
    default: /opt/xmppgw/current/bin/xmppgw
attributes:
  check_mode:
    description: Says whether the index would be built.
    support: full
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Index the table of users
  xmppgw.migration.users_index:
    index: /var/lib/xmppgw-frontend/users.sqlite
"""
RETURN = r"""
said:
  description: What the command printed.
  returned: when the index was not newer than the table
  type: str
"""

from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import host_writing  # noqa: E402

ARGUMENTS = {
    "table": {"type": "path", "default": "/etc/xmppgw/users.json"},
    "index": {"type": "path", "required": True},
    "program": {"type": "path", "default": "/opt/xmppgw/current/bin/xmppgw"},
}
SUPPORTS_CHECK_MODE = True


def current(table, index):
    """Return whether the index is there and newer than the table."""
    try:
        return index.stat().st_mtime_ns > table.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def run(module):
    """Build the index if it is due."""
    table, index = Path(module.params["table"]), Path(module.params["index"])
    if current(table, index) or module.check_mode:
        module.exit_json(changed=not current(table, index))
    arguments = [module.params["program"], "user", "index", "--users", str(table), "--output", str(index)]
    try:
        said = host_writing.run(arguments)
    except host_writing.WriteError as problem:
        module.fail_json(msg=f"the table of users cannot be indexed; the front end keeps the old index: {problem}")
    # The command goes by what is in the table: one that was only written anew has its index already.
    module.exit_json(changed=not said.strip().endswith(": up to date"), said=said.strip())
