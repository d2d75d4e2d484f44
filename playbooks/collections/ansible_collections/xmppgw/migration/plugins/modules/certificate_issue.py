#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_issue
short_description: Signing requests in, certificate chains out
description:
  - Has each request signed by the issuer that the federation document names for it. C(private_ca) signs on the
    controller, C(key_vault) has Azure Key Vault sign, C(import) writes requests to C(migration_certificates) and reads
    chains from there, C(acme) orders by RFC 8555 with DNS-01.
  - Delegate it to the DNS writer, from which DNS updates and requests to an ACME authority leave.
  - Every chain that is returned was examined, key, names, usages, dates, order and completeness; what is wrong is
    named with its code.
options:
  requests:
    description: Signing requests (PEM) by name of the certificate, from C(certificate_requests).
    type: dict
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Have the requests signed
  xmppgw.migration.certificate_issue:
    requests: "{{ made.requests }}"
  delegate_to: "{{ groups.dns_writer | sort | first }}"
"""
RETURN = r"""
chains:
  description: Chains (PEM, leaf first) by name of the certificate.
  type: dict
  returned: success
awaited:
  description: For what has not come yet, what the operator has to do.
  type: dict
  returned: success
"""
