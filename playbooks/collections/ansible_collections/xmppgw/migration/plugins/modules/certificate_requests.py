#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_requests
short_description: Keys and signing requests for the certificates that are due
description:
  - Judges the certificates of this host that were chosen by step, name or issuer. For those that are missing, bad, due
    or asked for, the host makes a key, unless it has one, and a signing request. Keys never leave their host.
options:
  step:
    description: Only certificates that this step makes.
    type: int
  up_to:
    description: Only certificates that this step or an earlier one makes.
    type: int
  names:
    description: Only certificates of these names (C(public), C(link), C(sip)).
    type: list
    elements: str
  issuers:
    description: Only certificates of these issuers (C(private_ca), C(import), C(acme)).
    type: list
    elements: str
  renew:
    description: Renew also what is good.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Make what step 4 needs
  xmppgw.migration.certificate_requests:
    step: 4
"""
RETURN = r"""
requests:
  description: Signing requests (PEM) by name of the certificate.
  type: dict
  returned: success
problems:
  description: Why each is due, by name.
  type: dict
  returned: success
"""
