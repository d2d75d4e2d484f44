#!/usr/bin/python
"""Close one partner's streams at the legacy gateway gracefully and see them gone; or only look."""

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_streams
short_description: Drain or watch a partner's inbound streams at the legacy gateway
description:
  - State C(drained) closes the inbound streams of the partner gracefully and waits until none of them is left. A stream
    that was opened since is no reason to wait on; it is in C(left).
  - State C(gone) closes nothing and waits until none is left; C(present) waits until there is one.
  - Provider C(lab) uses Prosody's admin shell.
options:
  domains:
    description: The partner's domains.
    type: list
    elements: str
    required: true
  own_domains:
    description: Our SIP domains.
    type: list
    elements: str
    required: true
  state:
    description: What must hold in the end.
    type: str
    choices: [drained, gone, present]
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
    domains: [partner1.example]
    own_domains: [corp.example]
    state: drained
"""
RETURN = r"""
reached:
  description: Whether the state holds. A partner that is back at once after it was drained makes it false.
  type: bool
  returned: always
closed:
  description: How many inbound streams were closed.
  type: int
  returned: always
left:
  description: The pairs, "from to", that have an inbound stream in the end.
  type: list
  returned: always
waited_s:
  description: Seconds spent waiting.
  type: float
  returned: always
"""

import time  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import legacy  # noqa: E402

ARGUMENTS = {
    "domains": {"type": "list", "elements": "str", "required": True},
    "own_domains": {"type": "list", "elements": "str", "required": True},
    "state": {"type": "str", "choices": ["drained", "gone", "present"], "required": True},
    "limit": {"type": "int", "default": 30},
    "provider": {"type": "str", "choices": ["lab"], "default": "lab"},
}
SUPPORTS_CHECK_MODE = True

POLL = 0.2
"""Seconds between two looks; one look costs the legacy gateway some 50 ms."""


def run(module):
    """Run the module."""
    wanted = module.params
    drain, present = wanted["state"] == "drained", wanted["state"] == "present"
    started = time.monotonic()

    def look():
        return legacy.inbound(legacy.sessions(), wanted["domains"], wanted["own_domains"])

    def awaited():
        if drain:
            return bool(first.keys() & found.keys())
        return bool(found) != present

    try:
        first = found = look()
        if drain and first and not module.check_mode:
            legacy.close(sorted(set(first.values())))
            found = look()
        while not module.check_mode and awaited() and time.monotonic() - started < wanted["limit"]:
            time.sleep(POLL)
            found = look()
    except legacy.LegacyError as problem:
        module.fail_json(msg=f"[migration-unreachable] {problem}", code="migration-unreachable")
    module.exit_json(
        changed=drain and bool(first),
        reached=bool(found) == present,
        closed=len(first) if drain else 0,
        left=sorted({" ".join(pair) for pair in found.values()}),
        waited_s=round(time.monotonic() - started, 2),
    )
