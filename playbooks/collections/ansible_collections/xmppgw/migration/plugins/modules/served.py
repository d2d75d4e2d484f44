#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: served
short_description: Look at the certificates that are really served, and judge them
description:
  - From an edge at the legacy gateway and at itself; from a front end at every edge's link, at itself and at the next
    hop.
  - Needs C(migration_seen) of the hosts.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Look at what is served
  xmppgw.migration.served:
  register: migration_served
"""
RETURN = r"""
verdicts:
  description: One entry per server, with certificate, protocol, ocsp, findings and remarks.
  type: list
  returned: success
awaited:
  description: Server to what has to come before it serves anything.
  type: dict
  returned: success
"""
