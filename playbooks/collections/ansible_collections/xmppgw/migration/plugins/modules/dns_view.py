#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_view
short_description: See the SRV records as the world sees them
description:
  - Of the C(authoritative) servers, shows each one's SOA serial, who is behind, and whether the RRsets are signed where
    the zone is.
  - Of the C(resolvers), shows what each one says, whether it validated it, and where they differ.
  - Fails if a signature is missing or does not hold; everything else is said and returned.
options:
  of:
    description: Whom to ask.
    type: str
    choices: [authoritative, resolvers]
    required: true
  signed:
    description: Our domains whose zones are signed, as the authoritative servers showed.
    type: list
    elements: str
    default: []
  expected:
    description: For each of our domains, the RRset that the authoritative servers serve.
    type: dict
    default: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Look at the authoritative servers
  xmppgw.migration.dns_view:
    of: authoritative
"""
RETURN = r"""
zones:
  description: What was seen, by domain.
  type: raw
  returned: success
signed:
  description: Our domains whose zones are signed.
  type: raw
  returned: success
served:
  description: For each of our domains, the RRset that the authoritative servers serve.
  type: raw
  returned: success
"""
