#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: observe
short_description: Look at one host of the migration
description:
  - >-
    Reads in one round trip what the planner and the guards need from a host, according to its groups. Changes nothing.
options:
  host:
    description: 'Inventory name of the host looked at; needed where the task is delegated.'
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Look at one host of the migration
  xmppgw.migration.observe:
"""
RETURN = r"""
seen:
  description: See the description of the module.
  type: raw
  returned: success
"""
