#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_host
short_description: Bring a gateway host to a stage
description:
  - >-
    Computes files and units from the federation document for one step, writes what differs, and starts, reloads or
    restarts what that touches.
options:
  host:
    description: 'Inventory name of the host; needed where the task is delegated.'
    type: str
  stage:
    description: 'The step whose state must stand.'
    type: int
    required: true
  stopped:
    description: 'Stop and disable everything instead of starting it; files stay.'
    type: bool
    default: false
  reload:
    description: 'Reload the service even if no file changed, for example for a new certificate.'
    type: bool
    default: false
  expect:
    description: What the daemon must say of itself in the end; see the module gateway_control.
    type: str
    default: ''
  limit:
    description: Seconds until it must.
    type: int
    default: 30
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Bring a gateway host to a stage
  xmppgw.migration.gateway_host:
    stage: 2
"""
RETURN = r"""
did:
  description: See the description of the module.
  type: raw
  returned: success
"""
