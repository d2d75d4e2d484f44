"""Changes on a gateway host: users, folders, files, units. Each function says whether it changed anything.

Used by the modules `gateway_install`, `gateway_host` and `certificate` on the host, which run as root. Files are
written
atomically; nothing here removes data.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import tempfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.host_reading import content_digest, file_digest


class WriteError(Exception):
    """A command on the host failed; the text has its last words."""


def run(command, timeout=600, **more):
    """Run a command and return its output; raise WriteError with its last words."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **more)
    except (OSError, subprocess.SubprocessError) as error:
        raise WriteError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise WriteError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def ensure_user(name):
    """Make the system user and group a daemon runs as."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        home = f"/var/lib/{name}"
        run(
            [
                "useradd",
                "--system",
                "--user-group",
                "--home-dir",
                home,
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                name,
            ]
        )
        return True
    return False


def ensure_folder(path, mode=0o755):
    """Make a folder owned by root."""
    folder = Path(path)
    if folder.is_dir():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    return True


def write_file(path, content, mode, group="root"):
    """Write a file of root's atomically, unless it is there with this content, mode and group."""
    data = content.encode()
    if file_digest(path) == content_digest(data, mode, group):
        return False
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchown(file.fileno(), 0, grp.getgrnam(group).gr_gid)
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
