#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: judge_proofs
short_description: Judge what the partners answered to our edges
description:
  - A partner that takes dialback cannot verify us before it is switched; that is unproved, not a failure.
  - A C(proof_exception) of the federation document stands in for a proof and is journalled with its owner.
options:
  results:
    description: Results of C(prove_partners), looped over the edges with C(federation_edge).
    type: list
    elements: dict
    required: true
  partners:
    description: The partners asked. Keys domain, dialback, allowed, fingerprint, exception.
    type: list
    elements: dict
    required: true
  planned:
    description: Partners whose proof is planned and therefore counts as a change.
    type: list
    elements: str
    default: []
  at_switch:
    description: Whether these partners are in phase C(gateway), so that dialback has to succeed.
    type: bool
    default: false
  required:
    description: Fail if a partner could not be proved. Otherwise only say so.
    type: bool
    default: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Judge the answers
  xmppgw.migration.judge_proofs:
    results: "{{ streams.results }}"
    partners: "{{ partners }}"
"""
RETURN = r"""
bodies:
  description: Records for the journal.
  type: raw
  returned: success
verdicts:
  description: For each partner, outcome, why, good, reached, edge.
  type: raw
  returned: success
"""
