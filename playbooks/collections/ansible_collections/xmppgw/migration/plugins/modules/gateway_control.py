#!/usr/bin/python
"""Send one command to a daemon's control socket, or wait until the daemon's answer says what it must."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_control
short_description: Ask our edge or front end through its control socket
description:
  - With O(expect), the command is repeated until the expectation holds or O(limit) seconds have passed.
options:
  socket:
    description: Path of the control socket.
    type: path
    required: true
  request:
    description: The command as the daemon takes it; C(command) names it.
    type: dict
    required: true
  expect:
    description: >-
      What the answer must show. C(ok) is a good answer, C(inbound) an inbound stream of O(domains) that ends here,
      C(no_inbound) none, C(no_spliced) no connection of theirs that is only joined to the legacy gateway,
      C(links_up) every link connected, C(platform_up) the SIP platform connected, C(drained) nothing queued for them
      or, without O(domains), for anybody.
    type: str
    choices: [ok, inbound, no_inbound, no_spliced, links_up, platform_up, drained]
    default: ok
  domains:
    description: Domains of the partner that C(inbound), C(no_inbound), C(no_spliced) and C(drained) are about.
    type: list
    elements: str
    default: []
  limit:
    description: Seconds to wait at most.
    type: int
    default: 0
  required:
    description: Fail if the expectation does not hold in time. Otherwise only say so.
    type: bool
    default: true
  repeat:
    description: Ask again until the expectation holds. Otherwise O(limit) is how long one answer may take.
    type: bool
    default: true
  changes:
    description: Whether a good answer means that something was changed, unless the answer itself says C(changed).
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Wait until the links are up
  xmppgw.migration.gateway_control:
    socket: /run/xmppgw-frontend/control.sock
    request: {command: status}
    expect: links_up
    limit: 30
"""
RETURN = r"""
answer:
  description: The daemon's last answer.
  type: dict
  returned: always
reached:
  description: Whether the expectation holds.
  type: bool
  returned: always
waited_s:
  description: Seconds spent waiting.
  type: float
  returned: always
"""

import time  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import control, readiness  # noqa: E402

ARGUMENTS = {
    "socket": {"type": "path", "required": True},
    "request": {"type": "dict", "required": True},
    "expect": {"type": "str", "choices": sorted(readiness.EXPECTATIONS), "default": "ok"},
    "domains": {"type": "list", "elements": "str", "default": []},
    "limit": {"type": "int", "default": 0},
    "required": {"type": "bool", "default": True},
    "repeat": {"type": "bool", "default": True},
    "changes": {"type": "bool", "default": False},
}
SUPPORTS_CHECK_MODE = True

POLL = 0.2
"""Seconds between two looks."""


def run(module):
    """Run the module."""
    wanted = module.params
    holds = readiness.EXPECTATIONS[wanted["expect"]]
    started = time.monotonic()
    if module.check_mode and wanted["changes"]:
        module.exit_json(changed=True, answer={}, reached=False, waited_s=0.0)
    while True:
        try:
            answer = control.ask(wanted["socket"], wanted["request"], timeout=max(10.0, float(wanted["limit"])))
        except control.ControlError as problem:
            answer = {"ok": False, "reason": str(problem)}
        reached = holds(answer, wanted["domains"])
        waited = time.monotonic() - started
        if reached or waited >= wanted["limit"] or not wanted["repeat"]:
            break
        time.sleep(POLL)
    result = {"answer": answer, "reached": reached, "waited_s": round(waited, 2)}
    if wanted["required"] and not reached:
        module.fail_json(
            msg=f"[migration-gateway] {wanted['request'].get('command')}: expected {wanted['expect']} within "
            f"{wanted['limit']} s, found: {readiness.sentence(answer)}. See `journalctl -u xmppgw-*` on this host.",
            code="migration-gateway",
            **result,
        )
    module.exit_json(changed=wanted["changes"] and reached and answer.get("changed", True), **result)
