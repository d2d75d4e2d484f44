#!/usr/bin/python
"""Open and authenticate an edge's own stream to each of several partners, all at the same time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prove_partners
short_description: Authenticate this edge's streams to partners
description:
  - Sends the control command C(connect) for each partner and each of our domains, several at a time. A partner that
    does not answer
    costs O(limit) seconds once, whatever the number of the others.
  - Judges nothing and never fails for what a partner does; the action C(judge_proofs) does.
options:
  socket:
    description: Path of the edge's control socket.
    type: path
    required: true
  partners:
    description: Domains of the partners.
    type: list
    elements: str
    required: true
  own_domains:
    description: Our domains.
    type: list
    elements: str
    required: true
  limit:
    description: Seconds that one partner may take.
    type: int
    default: 30
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Authenticate at one partner
  xmppgw.migration.prove_partners:
    socket: /run/xmppgw-edge/control.sock
    partners: [partner1.example]
    own_domains: [corp.example]
"""
RETURN = r"""
answers:
  description: One for each partner and own domain. Keys partner, local, answer.
  type: list
  returned: always
waited_s:
  description: Seconds spent waiting.
  type: float
  returned: always
"""

import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import control  # noqa: E402

ARGUMENTS = {
    "socket": {"type": "path", "required": True},
    "partners": {"type": "list", "elements": "str", "required": True},
    "own_domains": {"type": "list", "elements": "str", "required": True},
    "limit": {"type": "int", "default": 30},
}

AT_A_TIME = 16
"""Commands under way at once: the daemon serves each in a task of its own."""


def run(module):
    """Run the module."""
    wanted = module.params
    started = time.monotonic()

    def connect(pair):
        partner, local = pair
        command = {"command": "connect", "partner": partner, "local": local}
        try:
            answer = control.ask(wanted["socket"], command, timeout=float(wanted["limit"]))
        except control.ControlError as problem:
            answer = {"ok": False, "reason": str(problem), "stage": "control"}
        return {"partner": partner, "local": local, "answer": answer}

    pairs = [(partner, local) for partner in wanted["partners"] for local in wanted["own_domains"]]
    with ThreadPoolExecutor(max_workers=AT_A_TIME) as pool:
        answers = list(pool.map(connect, pairs))
    module.exit_json(changed=False, answers=answers, waited_s=round(time.monotonic() - started, 2))
