#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guard
short_description: Run the guards of one step
description:
  - >-
    Judges fresh observations by the guards of a step and refuses with stable codes.
options:
  step:
    description: 'The step about to start.'
    type: int
    required: true
  seen:
    description: 'Fresh observations, laid over those of preflight.'
    type: list
    elements: dict
    default: []
  noted:
    description: Completions of this run that the journal may not have heard of yet.
    type: list
    elements: dict
    default: []
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Run the guards of one step
  xmppgw.migration.guard:
    step: 4
"""
RETURN = r"""
refusals:
  description: See the description of the module.
  type: raw
  returned: success
"""
