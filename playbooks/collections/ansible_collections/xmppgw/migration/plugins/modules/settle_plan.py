#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settle_plan
short_description: Plan to restore the normal TTL
description:
  - Refuses before step 6 is done. Needs what C(observe) registered.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Plan to restore the normal TTL
  xmppgw.migration.settle_plan:
"""
RETURN = r"""
settle:
  description: The RRsets to write. Keys domain, name, rrset, expect.
  type: list
  returned: success
"""
