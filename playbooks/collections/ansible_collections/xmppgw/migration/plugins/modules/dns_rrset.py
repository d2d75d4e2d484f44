#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_rrset
short_description: Change one SRV RRset
description:
  - >-
    Compares with what the plan saw, changes the RRset through the DNS provider of the federation document, and reads
    back from every authoritative server by its own address.
  - Provider C(rfc2136) sends one update with prerequisites on the RRset and the SOA. Messages are made and signed on
    the controller; the host only carries them.
  - Provider C(azure) writes to Azure DNS on condition of the record set's ETag; the requests leave from the host.
  - Provider C(manual) prints the records and watches for them. A run that ends meanwhile goes on when it is started
    again.
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
    description: 'What the plan saw, TTL included; anything else is not overwritten.'
    type: dict
  manual_seconds:
    description: How long a person may take, with the provider C(manual).
    type: int
    default: 3600
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
