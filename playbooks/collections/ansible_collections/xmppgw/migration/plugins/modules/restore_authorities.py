#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_authorities
short_description: Put the certificate authorities of a backup back on the controller
description:
  - >-
    Fills the folders of C(migration_authorities) that are empty or absent from an encrypted backup. A folder in which
    anything stands is left alone: half an authority is worse than none.
options:
  backup:
    description: Folder of the backup.
    type: path
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Put the authorities back
  xmppgw.migration.restore_authorities:
    backup: /srv/backup/20261121T080000Z
"""
RETURN = r"""
did:
  description: The files that were put back.
  type: list
  elements: str
  returned: success
"""
