#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait
short_description: Wait with a reason and a countdown
description:
  - >-
    Waits until an epoch second, or until no resolver can remember an earlier SRV RRset according to the journal.
options:
  reason:
    description: 'Why, in a few words.'
    type: str
    required: true
  until:
    description: 'Epoch second. Without it, what the journal says was served decides.'
    type: float
  seen:
    description: 'Fresh observations, laid over those of preflight.'
    type: list
    elements: dict
    default: []
  step:
    description: 'Number of the step that waits.'
    type: int
  limit:
    description: 'Longest wait accepted, in seconds.'
    type: int
    default: 7200
  noted:
    description: Completions of this run that the journal may not have heard of yet.
    type: list
    elements: dict
    default: []
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Wait with a reason and a countdown
  xmppgw.migration.wait:
    until: 1763700000
    reason: resolvers forget the old RRset
"""
RETURN = r"""
waited_s:
  description: See the description of the module.
  type: raw
  returned: success
"""
