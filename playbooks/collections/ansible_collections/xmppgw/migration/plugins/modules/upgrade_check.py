#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_check
short_description: Refuse an upgrade that cannot be meant
description:
  - Compares the version that was asked for with the wheels that are there.
  - Says for every host to which release it goes; the way back is that of the newest upgrade in the journal. Needs
    C(migration_seen) of every host, and C(migration), the facts of the run.
options:
  to_version:
    description: Version to go to.
    type: str
  back:
    description: Take the newest upgrade back instead, on the hosts that it has reached.
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
moves:
  description: Host to what the journal is told before it is switched; who is not in it is not touched.
  type: dict
  returned: success
notes:
  description: What the journal is told before the first host, if it did not know of the upgrade that is taken back.
  type: list
  returned: success
wheelhouse:
  description: Folder with the wheels.
  type: str
  returned: success
"""
