#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_upgrade
short_description: Take one gateway host to another release
description:
  - Has the host switch to a release that stands there, with drain, health gate and automatic way back. See the module
    C(switch_release).
options:
  release:
    description: Folder name of the release, as C(upgrade_check) named it for this host.
    type: str
    required: true
  stage:
    description: The migration's step that is done; before step 2 there are no links to wait for.
    type: int
    required: true
  limit:
    description: Seconds until the daemon must be well.
    type: int
    default: 60
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Switch
  xmppgw.migration.gateway_upgrade:
    release: 0.2.0+0f3a9c1b2d4e
    stage: 6
"""
RETURN = r"""
before:
  description: Folder name of the release that ran.
  type: str
  returned: success
after:
  description: Folder name of the release that runs now.
  type: str
  returned: success
"""
