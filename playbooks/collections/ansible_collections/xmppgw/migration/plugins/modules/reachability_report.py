#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reachability_report
short_description: Say whether the firewalls let through what the port table says, and nothing else
description:
  - >-
    Prints and writes what O(xmppgw.migration.reachability#action) found on every host; ends the
    run with 3 if something is not as the table says.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say whether the firewalls let through what the port table says, and nothing else
  xmppgw.migration.reachability_report:
"""
RETURN = r"""
{}
"""
