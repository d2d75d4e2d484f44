#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_host
short_description: Put a host's part of a backup back where it is absent
description:
  - See the module C(restore_files).
options:
  backup:
    description: Folder of the backup.
    type: path
    required: true
  entries:
    description: The files, from C(restore_check).
    type: list
    elements: dict
    required: true
  deliver_waiting:
    description: Deliver what waited in the store at the time of the backup, though it may arrive a second time.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Put back what this host lacks
  xmppgw.migration.restore_host:
    backup: /srv/backup/20261121T080000Z
    entries: []
"""
RETURN = r"""
did:
  description: What was put back.
  type: list
  returned: success
"""
