#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upkeep
short_description: Facts of a run that is no migration
description:
  - Needs C(migration_seen) of every host. Returns what C(steps/open_run.yml) and C(steps/close_run.yml) need for the
    lock and the journal, and which gateway hosts stand.
options:
  verb:
    description: What the run does; the journal keeps it.
    type: str
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say what stands
  xmppgw.migration.upkeep:
    verb: certificates
  register: migration
"""
RETURN = r"""
standing:
  description: Gateway hosts that were deployed and not taken back.
  type: list
  returned: success
"""
