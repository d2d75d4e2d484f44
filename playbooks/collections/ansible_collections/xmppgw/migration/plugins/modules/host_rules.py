#!/usr/bin/python
"""Put a host's own firewall rules in place, in two acts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_rules
short_description: Put a host's own firewall rules in place, in two acts
description:
  - Called by the O(xmppgw.migration.host_firewall#action) plug-in. The first act loads them under a timer that takes
    them back, the second, over a new connection, makes them last.
options:
  act:
    description: Which act.
    choices: [attempt, confirm, remove]
    required: true
    type: str
  rules:
    description: The nftables file.
    type: str
    default: ''
  seconds:
    description: After how long unconfirmed rules are taken back.
    type: int
    default: 60
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Try rules
  xmppgw.migration.host_rules:
    act: attempt
    rules: "{{ rules }}"
"""
RETURN = r"""
{}
"""

from ansible_collections.xmppgw.migration.plugins.module_utils import host_rules  # noqa: E402

ARGUMENTS = {
    "act": {"type": "str", "required": True, "choices": ["attempt", "confirm", "remove"]},
    "rules": {"type": "str", "default": ""},
    "seconds": {"type": "int", "default": 60},
}
SUPPORTS_CHECK_MODE = True


def run(module):
    """Run the module."""
    wanted = module.params
    try:
        if wanted["act"] == "attempt":
            changed = host_rules.attempt(wanted["rules"], wanted["seconds"], check=module.check_mode)
        elif wanted["act"] == "remove":
            changed = host_rules.remove(check=module.check_mode)
        else:
            host_rules.confirm(wanted["rules"])
            changed = True
    except host_rules.RulesError as problem:
        module.fail_json(msg=f"[{problem.code}] {problem}", code=problem.code)
    module.exit_json(changed=changed)
