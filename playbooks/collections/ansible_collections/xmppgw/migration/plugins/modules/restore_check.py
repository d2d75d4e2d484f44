#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_check
short_description: Look at a backup before anything is put back
description:
  - Compares every archive with its hash and the backup with the document. Needs C(migration_seen) of the hosts.
options:
  backup:
    description: Folder of the backup.
    type: path
  hosts:
    description: Only these hosts; all of the backup by default.
    type: list
    elements: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Look at the backup
  xmppgw.migration.restore_check:
    backup: /srv/backup/20261121T080000Z
"""
RETURN = r"""
hosts:
  description: For each host the files that it would get where they are absent.
  type: dict
  returned: success
"""
