#!/usr/bin/python
"""Call a partner's server from this edge and see its own stream arrive here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: partner_arrival
short_description: Call a partner and see its inbound stream arrive at this edge
description:
  - Looks for an inbound stream of the partner that ends here, until there is one or O(limit) seconds have passed.
  - Meanwhile the edge pings the partner (XEP-0199) in the name of each of our domains. A server that has nothing to say
    opens no stream; the answer to a ping makes it open one, to wherever it believes us to be.
options:
  control_socket:
    description: The edge's control socket.
    type: path
    required: true
  domains:
    description: The partner's domains.
    type: list
    elements: str
    required: true
  own_domains:
    description: Our SIP domains, in whose name it is called.
    type: list
    elements: str
    required: true
  limit:
    description: Seconds to look at most.
    type: int
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: See a partner arrive
  xmppgw.migration.partner_arrival:
    control_socket: /run/xmppgw-edge/control.sock
    domains: [partner1.example]
    own_domains: [corp.example]
    limit: 3
"""
RETURN = r"""
answer:
  description: The edge's last answer to C(streams), the partner's streams only.
  type: dict
  returned: always
reached:
  description: Whether there is such a stream.
  type: bool
  returned: always
heard:
  description: What pings came to that ended in time, as C(partner from our domain) to a reason, or C(answered).
  type: dict
  returned: always
waited_s:
  description: Seconds spent looking.
  type: float
  returned: always
"""

import threading  # noqa: E402
import time  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import control, readiness  # noqa: E402

ARGUMENTS = {
    "control_socket": {"type": "path", "required": True},
    "domains": {"type": "list", "elements": "str", "required": True},
    "own_domains": {"type": "list", "elements": "str", "required": True},
    "limit": {"type": "int", "required": True},
}
SUPPORTS_CHECK_MODE = True

POLL = 0.2
"""Seconds between two looks."""
PATIENCE = 30.0
"""Seconds for a ping; the edge itself gives up after twenty. Nobody waits for it longer than for the look."""


def call(path, partner, own, heard):
    """Ping and note what came of it."""
    try:
        answer = control.ask(path, {"command": "ping", "partner": partner, "local": own}, timeout=PATIENCE)
    except control.ControlError as problem:
        answer = {"ok": False, "reason": str(problem)}
    heard[f"{partner} from {own}"] = "answered" if answer.get("ok") else str(answer.get("reason"))


def look(path, domains):
    """Return the partner's streams as the edge shows them."""
    try:
        answer = control.ask(path, {"command": "streams"})
    except control.ControlError as problem:
        return {"ok": False, "reason": str(problem)}
    theirs = [stream for stream in answer.get("streams") or [] if stream.get("remote") in domains]
    return {**answer, "streams": theirs}


def run(module):
    """Run the module."""
    wanted, path = module.params, module.params["control_socket"]
    heard = {}
    if not module.check_mode:
        for partner in wanted["domains"]:
            for own in wanted["own_domains"]:
                threading.Thread(target=call, args=(path, partner, own, heard), daemon=True).start()
    started = time.monotonic()
    while True:
        answer = look(path, wanted["domains"])
        reached = bool(readiness.inbound_streams(answer, wanted["domains"]))
        waited = time.monotonic() - started
        if reached or module.check_mode or waited >= wanted["limit"]:
            break
        time.sleep(POLL)
    module.exit_json(changed=False, answer=answer, reached=reached, heard=dict(heard), waited_s=round(waited, 2))
