#!/usr/bin/python
"""Close one partner's streams at the legacy gateway gracefully, and wait until they are gone; or wait until they are
back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_streams
short_description: Drain or watch a partner's streams at the legacy gateway
description:
  - State C(drained) closes the inbound streams of the partner gracefully and waits until none is left.
  - State C(present) waits until an inbound stream of the partner is there; it closes nothing.
  - Provider C(lab) uses Prosody's admin shell.
options:
  partner:
    description: The partner's domain.
    type: str
    required: true
  own_domain:
    description: Our SIP domain.
    type: str
    required: true
  state:
    description: What must hold in the end.
    type: str
    choices: [drained, present]
    required: true
  limit:
    description: Seconds to wait at most.
    type: int
    default: 30
  provider:
    description: What kind of legacy gateway.
    type: str
    choices: [lab]
    default: lab
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Drain one partner
  xmppgw.migration.legacy_streams:
    partner: partner1.example
    own_domain: corp.example
    state: drained
"""
RETURN = r"""
reached:
  description: Whether the state holds.
  type: bool
  returned: always
closed:
  description: How many inbound streams were closed.
  type: int
  returned: always
waited_s:
  description: Seconds spent waiting.
  type: float
  returned: always
"""

import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.module_utils import legacy  # noqa: E402

POLL = 0.3
"""Seconds between two looks; one look costs the legacy gateway some 50 ms."""


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "partner": {"type": "str", "required": True},
            "own_domain": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "present"], "required": True},
            "limit": {"type": "int", "default": 30},
            "provider": {"type": "str", "choices": ["lab"], "default": "lab"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    partner, own, drain = wanted["partner"], wanted["own_domain"], wanted["state"] == "drained"
    started = time.monotonic()
    try:
        first = legacy.count(legacy.streams(), partner, own)
        found = first
        if drain and first and not module.check_mode:
            legacy.close(partner, own)
        while not module.check_mode and bool(found) == drain and time.monotonic() - started < wanted["limit"]:
            time.sleep(POLL)
            found = legacy.count(legacy.streams(), partner, own)
    except legacy.LegacyError as problem:
        module.fail_json(msg=f"[migration-unreachable] {problem}", code="migration-unreachable")
    module.exit_json(
        changed=drain and bool(first),
        reached=bool(found) != drain,
        closed=first if drain else 0,
        waited_s=round(time.monotonic() - started, 2),
    )


if __name__ == "__main__":
    main()
