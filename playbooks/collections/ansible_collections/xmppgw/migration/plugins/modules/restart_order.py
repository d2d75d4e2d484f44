#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restart_order
short_description: Have the legacy proxy restarted, and see whether that was done
description:
  - C(given) writes the script that restarts the legacy Edge's XMPP proxy in the document's quiet minute.
  - >-
    C(taken) reads the evidence that the script left (C(drain.json) in the folder evidence beside the inventory) and
    fails resumably with C(migration-handover) unless it tells of a restart since every edge answers for O(partners).
options:
  event:
    description: What to do.
    type: str
    choices: [given, taken]
    required: true
  partners:
    description: With C(taken), the partners that are to be switched, with answered_since.
    type: list
    elements: dict
    default: []
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Write the script
  xmppgw.migration.restart_order:
    event: given
"""
RETURN = r"""
file:
  description: The script.
  type: str
  returned: with C(given)
restarted:
  description: When the proxy was restarted, as epoch seconds.
  type: float
  returned: with C(taken)
"""
