#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drift
short_description: Say every difference between document, hosts, DNS, certificates and journal
description:
  - Needs C(migration_seen) and, for what is served, C(migration_served) of the hosts.
  - Writes C(out/drift.json) and C(out/drift.txt).
  - Ends the run with status 3 if there is a difference. Changes nothing.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Compare
  xmppgw.migration.drift:
"""
RETURN = r"""
differences:
  description: Each with kind, subject, found and expected.
  type: list
  returned: success
"""
