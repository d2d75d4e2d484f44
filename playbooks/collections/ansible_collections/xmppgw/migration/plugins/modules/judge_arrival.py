#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: judge_arrival
short_description: Judge whether a partner's server has come to our edges
description: [Puts together what the edges and the legacy gateway showed after the partner's stream was closed.]
options:
  domains:
    description: The partner's domains.
    type: list
    elements: str
    required: true
  edges:
    description: Results of C(partner_arrival), one for each edge.
    type: list
    elements: dict
    required: true
  closed:
    description: How many inbound streams the legacy gateway closed; left out where nothing closes them.
    type: int
  left:
    description: Pairs that have an inbound stream at the legacy gateway now.
    type: list
    elements: str
    required: true
  seconds:
    description: How long was waited for the partner.
    type: float
    default: 0
  limit:
    description: How long is waited at most; before that nothing is decided by absence.
    type: float
    default: 0
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Judge the arrival
  xmppgw.migration.judge_arrival:
    domains: [partner1.example]
    edges: "{{ arrived.results }}"
    closed: 1
    left: []
"""
RETURN = r"""
state:
  description: C(here), C(static?), or empty while it is not known and there is time left.
  type: str
  returned: success
reason:
  description: Why it is not here.
  type: str
  returned: success
"""
