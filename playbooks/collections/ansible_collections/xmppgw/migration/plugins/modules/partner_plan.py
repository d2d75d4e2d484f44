#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: partner_plan
short_description: Decide what is done with partners by name
description:
  - Chooses one partner, a group or all, and refuses what cannot be done now. Needs what C(observe) registered.
options:
  do:
    description: C(hold), C(release), C(switch) or C(return).
    type: str
    required: true
  partner:
    description: One partner's domain.
    type: str
    default: ''
  group:
    description: A group of the federation document, or C(all).
    type: str
    default: ''
  why:
    description: Why a partner is held back or taken back, for the journal and for status.
    type: str
    default: ''
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Decide to hold one partner back
  xmppgw.migration.partner_plan:
    do: hold
    partner: partner1.example
    why: their change freeze ends on Monday
"""
RETURN = r"""
announce:
  description: Records for the journal.
  type: raw
  returned: success
"""
