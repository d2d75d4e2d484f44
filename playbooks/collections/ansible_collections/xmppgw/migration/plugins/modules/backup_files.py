#!/usr/bin/python
"""Pack what a backup keeps of this host into an archive for the controller to fetch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_files
short_description: Pack what a backup keeps of this host
description:
  - Packs the files of O(patterns) that exist, and a consistent copy of the store, into O(archive), which only root may
    read. A running front end makes the copy of its store itself, between two transactions.
  - The action C(backup_host) fetches the archive and removes it here.
options:
  patterns:
    description: Paths, with C(*) for any name.
    type: list
    elements: str
    required: true
  store:
    description: The front end's store.
    type: path
  control_socket:
    description: The front end's control socket.
    type: path
  archive:
    description: Where to write.
    type: path
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Pack the public parts
  xmppgw.migration.backup_files:
    patterns: [/etc/xmppgw/ca/*.pem]
    archive: /var/tmp/backup.tar
"""
RETURN = r"""
entries:
  description: One entry per file, with path, sha256, size, mode, owner and group.
  type: list
  returned: success
waiting:
  description: Messages that wait in the store.
  type: int
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import backing_up  # noqa: E402

ARGUMENTS = {
    "patterns": {"type": "list", "elements": "str", "required": True},
    "store": {"type": "path"},
    "control_socket": {"type": "path"},
    "archive": {"type": "path", "required": True},
}


def run(module):
    """Run the module."""
    wanted = module.params
    paths = {str(path) for pattern in wanted["patterns"] for path in Path("/").glob(pattern.lstrip("/"))}
    copy, waiting = None, 0
    Path(wanted["archive"]).unlink(missing_ok=True)
    try:
        if wanted["store"]:
            copy, waiting = backing_up.store_copy(wanted["store"], wanted["control_socket"])
        renamed = {copy: wanted["store"]} if copy else {}
        entries = backing_up.pack(wanted["archive"], [*paths, *renamed], renamed)
    except (backing_up.BackupError, OSError) as problem:
        Path(wanted["archive"]).unlink(missing_ok=True)
        module.fail_json(msg=f"[migration-backup] {problem}", code="migration-backup")
    finally:
        if copy:
            Path(copy).unlink(missing_ok=True)
    module.exit_json(changed=False, entries=entries, waiting=waiting)
