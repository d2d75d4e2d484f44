#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: note_partner
short_description: Note what became of a partner
description: [Prints one line, writes it to the steps file, and returns the record for the journal.]
options:
  partner:
    description: The partner's domain.
    type: str
    required: true
  state:
    description: C(gateway), C(legacy), C(static?) or C(failed).
    type: str
    required: true
  reason:
    description: Why it is not where it was to go.
    type: str
    default: ""
  began:
    description: When its switch began, in epoch seconds.
    type: float
  fingerprint:
    description: What the partner's entry was, so that a changed one is tried again.
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Note the switch
  xmppgw.migration.note_partner:
    partner: partner1.example
    state: gateway
"""
RETURN = r"""
body:
  description: The record for the journal.
  type: dict
  returned: success
"""
