#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_install
short_description: Chains put beside their keys
description:
  - Checks on the host that each chain belongs to the key there and writes it.
  - Fails with C(migration-certificate-awaited) if some are still awaited, after the others were written.
options:
  chains:
    description: Chains (PEM, leaf first) by name of the certificate.
    type: dict
    required: true
  awaited:
    description: What C(certificate_issue) returned as awaited.
    type: dict
    default: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Put the chains beside their keys
  xmppgw.migration.certificate_install:
    chains: "{{ issued.chains }}"
    awaited: "{{ issued.awaited }}"
"""
RETURN = r"""
installed:
  description: Names of the certificates that stand now.
  type: list
  returned: success
"""
