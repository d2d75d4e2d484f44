#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Judge and plan
description:
  - >-
    Runs the guards over every step with something to do, computes the plan and its digest, and writes
    C(out/plan/plan.json) and C(.md).
options:
  last_step:
    description: 'Last step to plan.'
    type: int
    default: 6
  digest:
    description: 'Digest of the plan that alone may be applied.'
    type: str
    default: ''
  verb:
    description: 'What the run does, for the journal.'
    type: str
    default: 'migrate'
  scenario:
    description: Scenario that the playbook is for; another one is refused.
    type: str
    choices: [replace, coexist]
  accept:
    description: Codes of guards that whoever runs this takes upon himself, separated by commas.
    type: str
    default: ''
  reason:
    description: Why, for the journal; needed with O(accept).
    type: str
    default: ''
  confirm:
    description: Steps whose hold is lifted, separated by commas.
    type: str
    default: ''
  to:
    description: With the verb C(rollback), the step to go back to.
    type: int
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Judge and plan
  xmppgw.migration.plan:
    last_step: 4
"""
RETURN = r"""
plan:
  description: See the description of the module.
  type: raw
  returned: success
"""
