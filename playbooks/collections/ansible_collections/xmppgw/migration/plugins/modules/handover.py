#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: handover
short_description: Hand work over to a person and see whether it is done
description:
  - >-
    C(written) writes the script to C(out/runbook/), where there is one, so that it can be asked. C(given) writes the
    order, a script or a list, and says what is to be done; nothing if all of it stands already. C(taken) succeeds if it
    stands now, else fails with C(migration-handover) and says what to run next; the next run of the same playbook
    verifies it and goes on.
  - >-
    Whether it stands is known from O(looks). Where nobody can be asked, the exports beside the inventory tell, and
    after something was asked for only one that is newer than that.
options:
  event:
    description: What to do.
    type: str
    choices: [written, given, taken]
    required: true
  provider:
    description: Who does the work.
    type: str
    choices: [powershell, manual]
    required: true
  kind:
    description: Which table the entries are of.
    type: str
    choices: [homing, route]
    required: true
  subject:
    description: The wave or the partner.
    type: str
    required: true
  entries:
    description: Keys key and value; a null value means no row.
    type: list
    elements: dict
    required: true
  looks:
    description: >-
      Results of M(xmppgw.migration.platform_look), one for each platform, or that of
      M(xmppgw.migration.platform_shown).
    type: list
    elements: dict
    default: []
  since:
    description: With C(taken), since when it was asked for, epoch seconds, as C(given) returned it.
    type: float
  limit:
    description: With C(taken), how many seconds to wait for an export that shows it.
    type: int
    default: 0
  ran:
    description: >-
      With C(taken), whether a script did it. Then what is not there is an error (C(migration-read-back)), not open
      work.
    type: bool
    default: false
  tolerated:
    description: How many entries may be otherwise.
    type: int
    default: 0
  back:
    description: Whether this takes something back.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Ask for the pilot's move
  xmppgw.migration.handover:
    event: given
    provider: manual
    kind: homing
    subject: 0-pilot
    entries: [{key: alice, value: pool-target}]
"""
RETURN = r"""
needed:
  description: Whether somebody has to do something.
  type: bool
  returned: success
since:
  description: Since when it is asked for, epoch seconds.
  type: float
  returned: with C(given)
file:
  description: What is to be done, where something is.
  type: str
  returned: success
open:
  description: Keys that are not as they should be.
  type: list
  returned: always
"""
