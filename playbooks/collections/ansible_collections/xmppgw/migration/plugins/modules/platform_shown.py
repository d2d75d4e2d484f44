#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_shown
short_description: Ask a Microsoft platform what it has, by a script on a Windows management host
description:
  - >-
    Copies the script and runs it with C(-Show) in Windows PowerShell, over the connection of the task's host. The
    script reads the platform and changes nothing.
  - Answers as M(xmppgw.migration.platform_look) does. A script that fails, or says nothing, fails this task.
options:
  file:
    description: The script, on the controller.
    type: path
    required: true
  directory:
    description: Folder on the host, which exists; without blanks.
    type: str
    default: C:/xmppgw
  table:
    description: What the entries are of; C(native) are the partners of the platform's own XMPP gateway.
    type: str
    choices: [homing, route, native]
    required: true
  entries:
    description: Keys key and value; a null value means that nothing is there.
    type: list
    elements: dict
    required: true
  partner:
    description: The partner whose route is asked for.
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Ask where the pilot is
  xmppgw.migration.platform_shown:
    file: out/runbook/homing-0-pilot.ps1
    table: homing
    entries: [{key: alice@corp.example, value: pool-target}]
"""
RETURN = r"""
elsewhere:
  description: Keys that are not as their entry says, sorted; without those who left.
  type: list
  returned: success
left:
  description: Users whom the platform does not know, or homes nowhere, any more; never all who were asked for.
  type: list
  returned: success
problem:
  description: Empty; a platform that cannot be asked fails the task.
  type: str
  returned: success
"""
