#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: policy_effect
short_description: Say what the access policies mean for whom
description:
  - >-
    Counts the users of the table that the federation document names by the policy that decides for them, and says why
    the others may not exchange messages with partners. Without a table it says what the global policy means.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say what will change for whom
  xmppgw.migration.policy_effect:
"""
RETURN = r"""
effect:
  description: Numbers of users, allowed by policy and refused by reason; empty without a table.
  type: dict
  returned: success
"""
