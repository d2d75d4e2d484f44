#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_check
short_description: Refuse an upgrade that cannot be meant
description:
  - Compares the version that was asked for with the wheels that are there.
options:
  to_version:
    description: Version to go to.
    type: str
  back:
    description: Go back to the release before instead.
    type: bool
    default: false
  wheelhouse:
    description: Folder with the wheels; C(migration_wheelhouse) without it.
    type: path
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: See that the wheels are those of the version
  xmppgw.migration.upgrade_check:
    to_version: 0.2.0
"""
RETURN = r"""
wheelhouse:
  description: Folder with the wheels.
  type: str
  returned: success
"""
