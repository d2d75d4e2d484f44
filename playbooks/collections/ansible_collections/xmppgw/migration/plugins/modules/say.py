#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: say
short_description: Say something to whoever runs the playbook
description:
  - Prints lines that are always shown, whatever the verbosity.
options:
  text:
    description: What to say.
    type: str
    required: true
  warn:
    description: Whether it wants attention.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Show the plan
  xmppgw.migration.say:
    text: nothing to do
"""
RETURN = r"""
"""
