#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Keys made on their hosts, certificates signed on the controller
description:
  - >-
    Looks at the certificates that a step makes on this host and renews what is missing or bad.
options:
  step:
    description: 'The step that makes them.'
    type: int
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Keys made on their hosts, certificates signed on the controller
  xmppgw.migration.certificate:
    step: 4
"""
RETURN = r"""
issued:
  description: See the description of the module.
  type: raw
  returned: success
"""
