#!/usr/bin/python
"""Put files of a backup back on this host where they are absent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_files
short_description: Put files of a backup back where they are absent
description:
  - Overwrites nothing. Each file is compared with its hash before it is put in place.
  - A store gets a new identity and forgets its links; the messages that waited in it are set aside in a file beside it,
    because some of them may have been delivered since, unless O(deliver_waiting) says otherwise.
options:
  archive:
    description: The archive on this host; it is removed.
    type: path
    required: true
  entries:
    description: The files to put back, from the manifest.
    type: list
    elements: dict
    required: true
  store:
    description: The front end's store.
    type: path
    default: ""
  service:
    description: The daemon's unit; it must not run where its store is put back.
    type: str
    required: true
  user:
    description: System user of the daemon.
    type: str
    required: true
  deliver_waiting:
    description: Deliver what waited in the store at the time of the backup, though it may arrive a second time.
    type: bool
    default: false
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Put the authority's certificate back
  xmppgw.migration.restore_files:
    archive: /var/tmp/backup.tar
    entries: []
    service: xmppgw-edge.service
    user: xmppgw-edge
"""
RETURN = r"""
did:
  description: What was put back.
  type: list
  returned: success
set_aside:
  description: Waiting messages that were set aside.
  type: int
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import (  # noqa: E402
    backing_up,
    host_reading,
    host_writing,
)

ARGUMENTS = {
    "archive": {"type": "path", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
    "store": {"type": "path", "default": ""},
    "service": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "deliver_waiting": {"type": "bool", "default": False},
}


def run(module):
    """Run the module."""
    wanted = module.params
    try:
        absent = [entry for entry in wanted["entries"] if not Path(entry["path"]).exists()]
        running = host_reading.unit_states([wanted["service"]])[wanted["service"]].startswith("enabled")
        if running and any(entry["path"] == wanted["store"] for entry in absent):
            raise backing_up.BackupError(f"{wanted['service']} runs without its store; stop it, then run this again")
        if absent:
            host_writing.ensure_user(wanted["user"])
        did, set_aside = backing_up.unpack(
            wanted["archive"], absent, store=wanted["store"], deliver_waiting=wanted["deliver_waiting"]
        )
    except (backing_up.BackupError, host_writing.WriteError, OSError, KeyError) as problem:
        module.fail_json(msg=f"[migration-backup] {problem}", code="migration-backup")
    finally:
        Path(wanted["archive"]).unlink(missing_ok=True)
    module.exit_json(changed=bool(did), did=did, set_aside=set_aside)
