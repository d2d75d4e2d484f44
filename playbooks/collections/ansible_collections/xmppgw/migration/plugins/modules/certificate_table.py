#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_table
short_description: Every certificate of the gateway as it stands
description:
  - Judges what C(observe) found on the gateway's hosts, prints a table and writes it to C(out/certificates.json).
options:
  renew:
    description: What the run will renew, C(due), C(all), C(public), C(link) or C(sip); anything else is refused.
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Show the certificates
  xmppgw.migration.certificate_table:
"""
RETURN = r"""
certificates:
  description: One entry per certificate, with names, issuer, end and problem.
  type: list
  returned: success
due:
  description: C(host:name) of those that are missing, wrong or due.
  type: list
  returned: success
"""
