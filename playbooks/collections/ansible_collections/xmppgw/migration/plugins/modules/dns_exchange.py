#!/usr/bin/python
"""Carry DNS messages from this host to name servers; the controller makes and reads them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_exchange
short_description: Carry DNS messages
description:
  - Sends ready messages over TCP and hands back the answers. Knows no key and needs no library.
options:
  packets:
    description: Messages to carry. Keys server, port, message (base64).
    type: list
    elements: dict
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Carry one question
  xmppgw.migration.dns_exchange:
    packets: [{server: 203.0.113.53, message: AAABAAABAAAAAAAA}]
"""
RETURN = r"""
answers:
  description: For each message, answer (base64) or error.
  type: list
  returned: always
"""

from ansible_collections.xmppgw.migration.plugins.module_utils.packets import carry  # noqa: E402

ARGUMENTS = {"packets": {"type": "list", "elements": "dict", "required": True}}
SUPPORTS_CHECK_MODE = True


def run(module):
    """Run the module."""
    module.exit_json(changed=False, answers=carry(module.params["packets"]))
