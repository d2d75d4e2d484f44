#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Say where the migration stands
description:
  - Prints the steps, the users' homes, the SRV records, the partners' routes and streams, and who holds the lock.
  - Returns the same as data.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say where the migration stands
  xmppgw.migration.status:
"""
RETURN = r"""
status:
  description: The same as data.
  type: raw
  returned: success
"""
