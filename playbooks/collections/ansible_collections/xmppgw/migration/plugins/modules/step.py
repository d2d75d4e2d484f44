#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: step
short_description: Say what a step is about to do
description:
  - >-
    Returns the planned actions of a step; in check mode as a difference.
options:
  number:
    description: 'Number of the step.'
    type: int
    required: true
  undo:
    description: Whether the step is about to be taken back.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say what a step is about to do
  xmppgw.migration.step:
    number: 1
"""
RETURN = r"""
actions:
  description: See the description of the module.
  type: raw
  returned: success
"""
