#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_rrset
short_description: Change one SRV RRset by compare and swap
description:
  - >-
    Sends one RFC 2136 update with prerequisites on the RRset and the SOA, and reads back from every authoritative
    server by its own address. Messages are made and signed on the controller; the host only carries them.
options:
  name:
    description: 'Owner name.'
    type: str
    required: true
  rrset:
    description: 'What must be served. Keys ttl and records; null removes it.'
    type: dict
    required: true
  expect:
    description: 'What the plan saw; other records are not overwritten.'
    type: dict
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Change one SRV RRset by compare and swap
  xmppgw.migration.dns_rrset:
    name: _xmpp-server._tcp.corp.example
    rrset: {ttl: 3, records: [10 10 5269 edge1.corp.example.]}
"""
RETURN = r"""
served_until:
  description: See the description of the module.
  type: raw
  returned: success
"""
