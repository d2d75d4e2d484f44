#!/usr/bin/python
"""Install a release of the gateway from wheels that were put on this host, and make it the current one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: install_release
short_description: Install the bundled gateway without a network
description:
  - Unpacks an archive of wheels, makes a virtual environment under O(prefix), puts just these wheels into it, each
    checked against its RECORD, and switches the C(current) link atomically. Earlier releases stay.
  - The action C(gateway_install) carries the archive over only when the release is not there yet.
options:
  version:
    description: Version of the release.
    type: str
    required: true
  wheels:
    description: Digest over the wheels' content; names the release together with the version.
    type: str
    required: true
  archive:
    description: Tar archive of the wheels on the host. Without it the module only says whether the release is there.
    type: path
  user:
    description: System user that the daemon runs as.
    type: str
    required: true
  switch:
    description: Make it the current release. Otherwise it is only put beside it.
    type: bool
    default: true
  prefix:
    description: Where releases are installed.
    type: path
    default: /opt/xmppgw
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Say whether a release is there
  xmppgw.migration.install_release:
    version: 0.1.0
    wheels: 0f3a9c
    user: xmppgw-edge
"""
RETURN = r"""
present:
  description: Whether this release is the current one now.
  type: bool
  returned: always
release:
  description: Folder of the release.
  type: str
  returned: always
"""

import json  # noqa: E402
import shutil  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import (  # noqa: E402
    host_reading,
    host_writing,
    release_switching,
    wheels,
)

ARGUMENTS = {
    "version": {"type": "str", "required": True},
    "wheels": {"type": "str", "required": True},
    "archive": {"type": "path"},
    "user": {"type": "str", "required": True},
    "switch": {"type": "bool", "default": True},
    "prefix": {"type": "path", "default": "/opt/xmppgw"},
}
SUPPORTS_CHECK_MODE = True


def build(folder, archive, marker):
    """Fill `folder` with a virtual environment that holds the release; the marker is written last."""
    if folder.exists():
        shutil.rmtree(folder)  # left by a run that was killed in the middle: it has no marker
    with tempfile.TemporaryDirectory(prefix="xmppgw-wheels-") as unpacked:
        wheels.make_environment(folder, wheels.unpack(archive, unpacked))
    host_writing.run([str(folder / "bin" / "xmppgw"), "--help"])
    (folder / "release.json").write_text(json.dumps(marker) + "\n", encoding="utf-8")


def run(module):
    """Run the module."""
    wanted = module.params
    prefix = Path(wanted["prefix"])
    folder = release_switching.folder_of(prefix, wanted["version"], wanted["wheels"])
    current = host_reading.release(prefix) == (wanted["version"], wanted["wheels"])
    present = current if wanted["switch"] else (folder / "release.json").exists()
    changed = False
    try:
        if not module.check_mode and (present or wanted["archive"]):
            changed = host_writing.ensure_user(wanted["user"])
        if not present and wanted["archive"] and not module.check_mode:
            host_writing.ensure_folder(prefix)
            if not (folder / "release.json").exists():
                changed = True
                build(folder, wanted["archive"], {key: wanted[key] for key in ("version", "wheels")})
            if wanted["switch"]:
                release_switching.point(prefix, "current", folder.name)
                changed = True
            present = True
    except host_writing.WriteError as problem:
        module.fail_json(msg=f"[migration-install] {problem}", code="migration-install")
    finally:
        if wanted["archive"]:
            Path(wanted["archive"]).unlink(missing_ok=True)
    module.exit_json(changed=changed, present=present, release=str(folder))
