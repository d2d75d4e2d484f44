#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: decommission_plan
short_description: Decide whether the legacy gateway may go
description:
  - Refuses while a user, a route, a partner or a stream is left on it, naming each. Needs what C(observe) registered.
options:
  point_of_no_return:
    description: Must be C(accepted).
    type: str
    default: ''
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Decide
  xmppgw.migration.decommission_plan:
    point_of_no_return: accepted
"""
RETURN = r"""
ports:
  description: Port rules that end with the legacy gateway.
  type: list
  returned: success
"""
