#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_firewall
short_description: Close a gateway host but for its rows of the port table
description:
  - Makes an nftables table from the federation document's port table, has the host check it, loads it under a timer
    that takes it back, comes again over a new connection, and only then makes it last. Other tables of the host are
    left alone.
options:
  administrators:
    description: Addresses or networks that may open SSH. There must be one.
    type: list
    elements: str
    required: true
  time_servers:
    description: Addresses or networks that are asked for the time.
    type: list
    elements: str
    default: []
  seconds:
    description: After how long rules that nobody confirmed are taken back.
    type: int
    default: 60
  state:
    description: Whether the table is there.
    choices: [present, absent]
    default: present
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Close the host
  xmppgw.migration.host_firewall:
    administrators: [10.10.0.0/24]
"""
RETURN = r"""
{}
"""
