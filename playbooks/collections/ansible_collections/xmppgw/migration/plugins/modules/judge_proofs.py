#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: judge_proofs
short_description: Judge what the partners answered to our edges
description:
  - A partner that only takes dialback cannot verify us before DNS names us; that is unproved, not a failure.
options:
  results:
    description: Results of the control command C(connect), one for each edge and partner.
    type: list
    elements: dict
    required: true
  planned:
    description: Partners whose proof is planned and therefore counts as a change.
    type: list
    elements: str
    default: []
  dns_points_here:
    description: Whether the SRV records name our edges, so that dialback has to succeed.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Judge the answers
  xmppgw.migration.judge_proofs:
    results: "{{ streams.results }}"
"""
RETURN = r"""
bodies:
  description: Records for the journal.
  type: raw
  returned: success
"""
