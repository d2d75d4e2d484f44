#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: partner_ping
short_description: Ping every partner whose traffic is ours
description:
  - See the module C(partner_pings). Partners that the legacy gateway still answers are left alone.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Ping partners
  xmppgw.migration.partner_ping:
"""
RETURN = r"""
results:
  description: For each partner what the edge answered.
  type: list
  returned: success
"""
