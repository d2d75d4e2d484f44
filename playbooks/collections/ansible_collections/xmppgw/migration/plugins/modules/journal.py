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
    description: >-
      Hash of the last record as it was read, given by the first append of a run; if another follows it, nothing is
      written.
    type: str
  lock:
    description: >-
      The lock to renew or, with O(expected_tail), to take. Keys owner, host, pid, run, start_text, seconds.
    type: dict
  gone:
    description: Run whose process, as the caller has checked, no longer runs. Its lock may be taken, and no other's.
    type: str
    default: ""
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

from ansible_collections.xmppgw.migration.plugins.module_utils import state_directory  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import ChainError  # noqa: E402

ARGUMENTS = {
    "directory": {"type": "path", "default": "/var/lib/xmppgw-migration"},
    "bodies": {"type": "list", "elements": "dict", "default": []},
    "records": {"type": "list", "elements": "dict", "default": []},
    "expected_tail": {"type": "str"},
    "lock": {"type": "dict"},
    "gone": {"type": "str", "default": ""},
    "release": {"type": "str"},
}
SUPPORTS_CHECK_MODE = True
MUTUALLY_EXCLUSIVE = [("bodies", "records")]


def renewed(held, lock, now):
    """Return the lock as it is written: whoever had it before keeps its beginning."""
    mine = {key: value for key, value in lock.items() if key != "seconds"}
    mine["start"] = held.get("start", now) if held and held.get("run") == lock["run"] else now
    mine["expiry"] = now + float(lock["seconds"])
    mine["renewed"] = now
    return mine


def run(module):
    """Run the module."""
    if module.check_mode:
        module.exit_json(changed=False, records=[], lock_note="")
    wanted = module.params
    # Stamped here, where the chain is: one clock for all records.
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    note = ""
    try:
        with state_directory.exclusively(wanted["directory"]) as folder:
            state = state_directory.read_state(folder)
            if wanted["lock"]:
                if state["problem"] and state["code"] == "migration-lock":
                    raise ChainError("migration-lock", 0, f"The migration's lock is none: {state['problem']}.")
                begins = wanted["expected_tail"] is not None
                granted, note = state_directory.decide_lock(
                    state["lock"], wanted["lock"], now, gone=wanted["gone"], begins=begins
                )
                if not granted:
                    raise ChainError("migration-lock", 0, f"The migration's lock is {note}.")
            # All that refuses comes before the lock: a run that is refused must not keep others out.
            here = state_directory.whole_records(state, wanted["expected_tail"])
            if wanted["lock"]:
                state_directory.write_lock(folder, renewed(state["lock"], wanted["lock"], now))
            if wanted["records"]:
                sealed = state_directory.append_sealed(folder, here, wanted["records"])
            else:
                bodies = [{"time": stamp, **body} for body in wanted["bodies"]]
                sealed = state_directory.append_bodies(folder, here, bodies)
            if wanted["release"] and (state_directory.read_state(folder)["lock"] or {}).get("run") == wanted["release"]:
                state_directory.write_lock(folder, None)
    except ChainError as problem:
        module.fail_json(msg=f"[{problem.code}] {problem.text}", code=problem.code)
    except OSError as problem:
        module.fail_json(
            msg=f"[migration-journal] What is in {wanted['directory']} could not be written: "
            f"{problem.strerror or problem}. What was to be announced was not done. Make room there, or have the disk "
            "writable, and run again: it goes on where the journal ends.",
            code="migration-journal",
        )
    # The journal is the run's own memory, not a change of the world: a second run that changes nothing still notes
    # itself.
    module.exit_json(changed=False, records=sealed, lock_note=note)
