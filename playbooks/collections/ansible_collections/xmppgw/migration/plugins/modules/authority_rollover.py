#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: authority_rollover
short_description: Replace the link's private authority by its successor, phase by phase
description:
  - C(begin) makes a successor that is trusted beside the present authority, C(switch) lets the successor sign,
    C(finish) ends the trust in the old one. A phase that was done is not done again.
  - The hosts follow by C(gateway_host), which writes what they must trust, and by the role C(certificates).
options:
  phase:
    description: Which phase.
    type: str
    choices: [begin, switch, finish]
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Trust both
  xmppgw.migration.authority_rollover:
    phase: begin
"""
RETURN = r"""
before:
  description: Where the roll-over stood.
  type: str
  returned: success
after:
  description: Where it stands now.
  type: str
  returned: success
"""
