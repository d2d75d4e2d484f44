#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: authority_certificate
short_description: Make the certificate of an authority whose key lies in Key Vault
description:
  - For every authority of the federation document whose issuer is C(key_vault), has the key sign its own certificate
    and keeps that as C(ca.pem) in the authority's folder (C(migration_authorities)). One that is there is never
    replaced. The key stays in the vault.
  - Run it for the DNS writer, from which requests to Azure leave.
options: {}
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Make what is missing
  xmppgw.migration.authority_certificate:
  run_once: true
"""
RETURN = r"""
made:
  description: Names of the authorities whose certificate was made.
  type: list
  elements: str
  returned: success
"""
