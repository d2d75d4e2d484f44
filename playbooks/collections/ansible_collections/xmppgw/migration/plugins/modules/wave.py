#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wave
short_description: Begin and judge a wave of users
description:
  - >-
    Says which wave begins. Judges, after it moved, whether its users are homed where planned on every platform, whether
    our front ends reach the platform, and how many messages wait in their lanes; fails with C(migration-wave) if not.
options:
  event:
    description: What to do.
    type: str
    choices: [started, judged]
    required: true
  wave:
    description: The wave, with the keys wave, number, of, entries, and left for those who left before this run.
    type: dict
    required: true
  back:
    description: Whether the wave moves back.
    type: bool
    default: false
  begun:
    description: Epoch second at which it began.
    type: float
  platforms:
    description: Results of M(xmppgw.migration.platform_look), one for each platform.
    type: list
    elements: dict
    default: []
  front_ends:
    description: Results of M(xmppgw.migration.gateway_control) with the command C(status), one for each front end.
    type: list
    elements: dict
    default: []
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Begin the pilot
  xmppgw.migration.wave:
    event: started
    wave: {wave: 0-pilot, number: 1, of: 4, entries: [{key: alice, value: pool-target}]}
"""
RETURN = r"""
started:
  description: Epoch second, for the event started.
  type: float
  returned: success
failed:
  description: Users who are not homed where planned.
  type: list
  returned: success
left:
  description: Users of the wave whom the platform does not know any more; neither moved nor counted as failed.
  type: list
  returned: success
"""
