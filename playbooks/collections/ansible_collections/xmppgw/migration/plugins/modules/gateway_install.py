#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_install
short_description: Install the bundled gateway without a network
description:
  - >-
    Carries the wheels over and installs them, if this release is not the current one.
options:
  user:
    description: "System user that the daemon runs as; by default that of the host's kind."
    type: str
  switch:
    description: Make it the current release. Otherwise it is only put beside it.
    type: bool
    default: true
  wheelhouse:
    description: 'Folder with the wheels; C(migration_wheelhouse) by default.'
    type: path
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Install the bundled gateway without a network
  xmppgw.migration.gateway_install:
    user: xmppgw-edge
"""
RETURN = r"""
present:
  description: See the description of the module.
  type: raw
  returned: success
"""
