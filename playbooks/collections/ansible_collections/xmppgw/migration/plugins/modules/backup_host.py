#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_host
short_description: Fetch what a backup keeps of one gateway host
description:
  - Configuration, certificates, authorities' certificates, dialback secret, journal, phases and a copy of the store.
  - Private keys only where C(backup/passphrase) is among the secrets; then the archive is encrypted.
options:
  folder:
    description: Folder of the backup on the controller.
    type: path
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Fetch this host's part
  xmppgw.migration.backup_host:
    folder: /srv/backup/20261121T080000Z
"""
RETURN = r"""
kept:
  description: This host's part of the manifest.
  type: dict
  returned: success
"""
