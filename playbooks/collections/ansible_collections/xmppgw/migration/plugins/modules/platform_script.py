#!/usr/bin/python
"""Documentation of an action plug-in: it runs on the controller, so nothing here is ever sent to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_script
short_description: Run a script of the runbook on a Windows management host
description:
  - Copies the script and runs it with C(-Apply) in Windows PowerShell, over the connection of the task's host.
  - Changed if the script says that it did something; it reads back itself.
options:
  file:
    description: The script, on the controller.
    type: path
    required: true
  directory:
    description: Folder on the host, which exists; without blanks.
    type: str
    default: C:/xmppgw
  partner:
    description: The partner whose route moves.
    type: str
  question:
    description: Ask the script how many seconds are left until it may run (C(-When)); it changes nothing.
    type: bool
    default: false
  undo:
    description: Whether it takes back.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Move the pilot
  xmppgw.migration.platform_script:
    file: out/runbook/homing-0-pilot.ps1
"""
RETURN = r"""
said:
  description: The end of what it printed.
  type: str
  returned: success
seconds:
  description: What it said, if it was only asked.
  type: int
  returned: with O(question)
"""
