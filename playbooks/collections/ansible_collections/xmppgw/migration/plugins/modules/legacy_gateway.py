#!/usr/bin/python
"""Switch the legacy gateway off for good: stopped, disabled, its port closed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_gateway
short_description: Switch the legacy gateway off
description:
  - Provider C(lab) stops and disables the services that stand in for it, with the partners configured there and the
    site route, and sees that 5269 is closed.
options:
  provider:
    description: What kind of legacy gateway.
    type: str
    choices: [lab]
    default: lab
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Switch it off
  xmppgw.migration.legacy_gateway:
    provider: lab
"""
RETURN = r"""
did:
  description: What was changed, in order.
  type: list
  returned: always
"""

from ansible_collections.xmppgw.migration.plugins.module_utils import host_reading, legacy  # noqa: E402

ARGUMENTS = {"provider": {"type": "str", "choices": ["lab"], "default": "lab"}}
SUPPORTS_CHECK_MODE = True

S2S_PORT = 5269


def run(module):
    """Run the module."""
    did = []
    try:
        if not legacy.switched_off():
            did = [f"stopped and disabled {unit}" for unit in reversed(legacy.UNITS)]
            if not module.check_mode:
                legacy.switch_off()
    except legacy.LegacyError as problem:
        module.fail_json(msg=f"[migration-unreachable] {problem}", code="migration-unreachable")
    if not module.check_mode and S2S_PORT in host_reading.listening():
        module.fail_json(
            msg=f"[migration-read-back] Something still listens on {S2S_PORT} here. See `ss -ltnp` on this host.",
            code="migration-read-back",
        )
    module.exit_json(changed=bool(did), did=did)
