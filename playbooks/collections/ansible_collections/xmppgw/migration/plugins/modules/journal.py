#!/usr/bin/python
"""Append to the migration's journal on one host, and take, renew or release the lock."""

from __future__ import annotations

DOCUMENTATION = r"""
module: journal
short_description: Append to the migration's journal and hold its lock
description:
  - The journal is append-only and chained by hash; nothing is ever rewritten.
  - The authority (first front end) seals records; the copy receives them sealed.
options:
  directory:
    description: State directory on the host.
    type: path
    default: /var/lib/xmppgw-migration
  bodies:
    description: Records to seal and append; only for the authority.
    type: list
    elements: dict
    default: []
  records:
    description: Sealed records to append as they are; only for the copy.
    type: list
    elements: dict
    default: []
  expected_tail:
    description: Hash of the last record as it was read; if another follows it, nothing is written.
    type: str
  lock:
    description: The lock to take or renew. Keys owner, host, pid, run, start_text, seconds.
    type: dict
  holder_is_gone:
    description: The caller has checked that the process holding the lock no longer runs.
    type: bool
    default: false
  release:
    description: Give the lock of this run back.
    type: str
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Announce the step
  xmppgw.migration.journal:
    bodies: [{event: step_opened, step: 1, actions: []}]
"""
RETURN = r"""
records:
  description: The sealed records, for the copy.
  type: list
  returned: always
lock_note:
  description: What was found when the lock was taken over, or nothing.
  type: str
  returned: always
"""

import time  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.module_utils import state_directory  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import ChainError  # noqa: E402


def hold(folder, lock, holder_is_gone, now):
    """Take or renew the lock. Returns (granted, sentence)."""
    state = state_directory.read_state(folder)
    if state["problem"] and state["code"] == "migration-lock":
        return False, state["problem"]
    held = state["lock"]
    granted, sentence = state_directory.decide_lock(held, lock, now, holder_is_gone=holder_is_gone)
    if granted:
        mine = {key: value for key, value in lock.items() if key != "seconds"}
        mine["start"] = held["start"] if held and held["run"] == lock["run"] else now
        mine["expiry"] = now + float(lock["seconds"])
        mine["renewed"] = now
        state_directory.write_lock(folder, mine)
    return granted, sentence


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/var/lib/xmppgw-migration"},
            "bodies": {"type": "list", "elements": "dict", "default": []},
            "records": {"type": "list", "elements": "dict", "default": []},
            "expected_tail": {"type": "str"},
            "lock": {"type": "dict"},
            "holder_is_gone": {"type": "bool", "default": False},
            "release": {"type": "str"},
        },
        mutually_exclusive=[("bodies", "records")],
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, records=[], lock_note="")
    wanted = module.params
    # Stamped here, where the chain is: one clock for all records.
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    note = ""
    try:
        with state_directory.exclusively(wanted["directory"]) as folder:
            if wanted["lock"]:
                granted, note = hold(folder, wanted["lock"], wanted["holder_is_gone"], now)
                if not granted:
                    module.fail_json(msg=f"[migration-lock] The migration's lock is {note}.", code="migration-lock")
            bodies = [{"time": stamp, **body} for body in wanted["bodies"]]
            if wanted["records"]:
                sealed = state_directory.append_sealed(folder, wanted["records"])
            else:
                sealed = state_directory.append_bodies(folder, bodies, wanted["expected_tail"])
            if wanted["release"]:
                held = state_directory.read_state(folder)["lock"]
                if held and held["run"] == wanted["release"]:
                    state_directory.write_lock(folder, None)
    except ChainError as problem:
        module.fail_json(msg=f"[{problem.code}] {problem.text}", code=problem.code)
    # The journal is the run's own memory, not a change of the world: a second run that changes nothing still notes
    # itself.
    module.exit_json(changed=False, records=sealed, lock_note=note)


if __name__ == "__main__":
    main()
