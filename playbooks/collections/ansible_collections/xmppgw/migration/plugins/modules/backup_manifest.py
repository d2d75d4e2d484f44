#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_manifest
short_description: Write the manifest of a backup
description:
  - Keeps the document, the SRV RRsets and the platforms' tables too. A folder without a manifest is no backup.
options:
  folder:
    description: Folder of the backup on the controller.
    type: path
    required: true
  hosts:
    description: What C(backup_host) returned as kept, by host.
    type: dict
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Write the manifest
  xmppgw.migration.backup_manifest:
    folder: /srv/backup/20261121T080000Z
    hosts: {}
"""
RETURN = r"""
folder:
  description: Where the backup is.
  type: str
  returned: success
"""
