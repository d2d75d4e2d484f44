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

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.module_utils.packets import carry  # noqa: E402


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"packets": {"type": "list", "elements": "dict", "required": True}}, supports_check_mode=True
    )
    module.exit_json(changed=False, answers=carry(module.params["packets"]))


if __name__ == "__main__":
    main()
