#!/usr/bin/python
"""Ping partners through this edge: a stanza there on our stream, and its answer in on the partner's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: partner_pings
short_description: Ping partners there and back
description:
  - Has the edge send each partner an XMPP ping (XEP-0199), whose answer must come in on a stream of the partner's that
    ends here. All partners at once.
options:
  control_socket:
    description: The edge's control socket.
    type: path
    required: true
  partners:
    description: Domains of the partners.
    type: list
    elements: str
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Ping a partner
  xmppgw.migration.partner_pings:
    control_socket: /run/xmppgw-edge/control.sock
    partners: [partner1.example]
"""
RETURN = r"""
results:
  description: For each partner what the edge answered.
  type: list
  returned: always
"""

from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import control  # noqa: E402

ARGUMENTS = {
    "control_socket": {"type": "path", "required": True},
    "partners": {"type": "list", "elements": "str", "required": True},
}
SUPPORTS_CHECK_MODE = True

AT_ONCE = 16
PATIENCE = 30.0
"""Seconds; the edge itself gives up after twenty."""


def run(module):
    """Run the module."""
    path = module.params["control_socket"]

    def ping(partner):
        try:
            answer = control.ask(path, {"command": "ping", "partner": partner}, timeout=PATIENCE)
        except control.ControlError as problem:
            answer = {"ok": False, "reason": str(problem)}
        return {"partner": partner, "answer": answer}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        module.exit_json(changed=False, results=list(pool.map(ping, sorted(module.params["partners"]))))
