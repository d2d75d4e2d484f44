#!/usr/bin/python
"""Try connections from a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: try_connections
short_description: Try connections from a host
description:
  - Opens each and closes it again; over UDP asks one DNS question. Called by the
    O(xmppgw.migration.reachability#action) plug-in.
options:
  attempts:
    description: What to try. Keys source (may be empty), address, port, transport.
    type: list
    elements: dict
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Try one
  xmppgw.migration.try_connections:
    attempts: [{source: 198.51.100.10, address: 198.51.100.5, port: 5269, transport: tcp}]
"""
RETURN = r"""
answers:
  description: For each attempt C(accepted), C(refused), C(silent) or C(untried), and why.
  type: list
  returned: success
"""

from ansible_collections.xmppgw.migration.plugins.module_utils import attempts  # noqa: E402

ARGUMENTS = {"attempts": {"type": "list", "elements": "dict", "required": True}}
SUPPORTS_CHECK_MODE = True


def run(module):
    """Run the module."""
    module.exit_json(changed=False, answers=attempts.attempt_all(module.params["attempts"]))
