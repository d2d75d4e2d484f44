"""The controller's own part of a backup: the folders of the certificate authorities, keys included.

Used by the actions of backup.yml and restore.yml. Kept under the authority's name, not under a path: a controller that
was made anew may have its folders elsewhere. Only ever inside an encrypted archive.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import backup_folder

NAME = "authorities"
"""Of the archive, and of its entry in the manifest."""
LARGEST = 1 << 20
"""Octets of a file that is kept: a chain is a few thousand; more is none of an authority's."""


def collect(authorities):
    """Return the files below each folder of `authorities` ({name: folder}) as octets, for `missing`."""
    kept = {
        name: {
            str(path.relative_to(folder)): base64.b64encode(path.read_bytes()).decode("ascii")
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.stat().st_size <= LARGEST
        }
        for name, folder in sorted(authorities.items())
    }
    return json.dumps(kept).encode("ascii")


def keep(folder, authorities, phrase):
    """Put them into the backup; return their entry of the manifest, or None without a passphrase."""
    return backup_folder.keep(folder, NAME, collect(authorities), phrase) if phrase else None


def missing(folder, manifest, authorities, phrase):
    """Return {path: octets} of what the backup has and the folders lack; raise BackupFolderError."""
    entry = manifest.get(NAME)
    if not entry:
        return {}
    sealed = (Path(folder) / entry["archive"]).read_bytes()
    if not sealed.startswith(backup_folder.MAGIC):
        raise backup_folder.BackupFolderError(f"{entry['archive']} in {folder} is not encrypted, so it is not ours")
    # Half an authority is worse than none: a certificate with another one's key. Where anything stands, all is left.
    return {
        Path(authorities[name]) / inside: base64.b64decode(text)
        for name, files in json.loads(backup_folder.decrypt(sealed, phrase)).items()
        if name in authorities and not _anything(authorities[name])
        for inside, text in files.items()
    }


def _anything(folder):
    return any(path.is_file() for path in Path(folder).rglob("*"))
