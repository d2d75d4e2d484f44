#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: served_report
short_description: Say what is served already and whether it is good
description:
  - Prints and writes what O(xmppgw.migration.served#action) found on every host, the legacy gateway's listener
    included, and what no step has put there yet. Ends the run with 3 if a certificate of ours is not good.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say what is served already and whether it is good
  xmppgw.migration.served_report:
"""
RETURN = r"""
served:
  description: One entry per server, with certificate, protocol, ocsp, findings and remarks.
  type: list
  returned: always
awaited:
  description: Server to what has to come before it serves anything.
  type: dict
  returned: always
"""
