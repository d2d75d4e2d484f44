#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: farewell_order
short_description: Have a Microsoft platform's own XMPP gateway ended, and see whether that was done
description:
  - C(given) writes the order, and the script that removes the native partners where the product has cmdlets.
  - >-
    C(taken) fails resumably with C(migration-handover) unless O(confirmed) says that a person carried the order out;
    with C(migration-read-back) where O(looks) show a partner that is still there.
options:
  event:
    description: What to do.
    type: str
    choices: [given, taken]
    required: true
  provider:
    description: Who runs the script; C(powershell) is the run itself, on the management host.
    type: str
    choices: [powershell, manual]
    default: manual
  confirmed:
    description: C(confirmed), if a person said so.
    type: str
    default: ""
  looks:
    description: The result of M(xmppgw.migration.platform_shown), where the script ran.
    type: list
    elements: dict
    default: []
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Write the order
  xmppgw.migration.farewell_order:
    event: given
    provider: manual
"""
RETURN = r"""
file:
  description: The script; empty where the product has no cmdlets.
  type: str
  returned: with C(given)
entries:
  description: The partners that must be gone, as M(xmppgw.migration.platform_shown) takes them.
  type: list
  returned: with C(given)
at:
  description: When it was seen or confirmed, epoch seconds.
  type: float
  returned: with C(taken)
"""
