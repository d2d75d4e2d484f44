#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reachability
short_description: Try from a host what the port table lets through, and what it does not
description:
  - >-
    Tries every row whose source this host is, and every port of the table at ends in other zones that no row names;
    from a host of the group C(vantage) every edge, as partners see it. Changes nothing.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Try from a host what the port table lets through, and what it does not
  xmppgw.migration.reachability:
"""
RETURN = r"""
{}
"""
