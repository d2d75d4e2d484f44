#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Say of everything that stands whether it works
description:
  - Needs C(migration_seen), C(migration_served) and C(verify_pings) of the hosts. Writes C(out/verify.json).
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say what works
  xmppgw.migration.verify:
"""
RETURN = r"""
checks:
  description: Each with subject, what, ok and found.
  type: list
  returned: success
"""
