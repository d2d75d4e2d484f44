"""The bundled wheels on a gateway host: taken out of their archive, and put into a release.

Used by the `install_release` module, which runs as root. Nothing is resolved, downloaded or built: what comes into a
release are exactly these wheels, each checked against its own RECORD (PyPA specifications, binary distribution format).
"""

from __future__ import annotations

import sys
import sysconfig
import tarfile
from pathlib import Path
from zipfile import BadZipFile

from ansible_collections.xmppgw.migration.plugins.module_utils.host_writing import WriteError, run


def unpack(archive, folder):
    """Write the wheels of a tar archive into `folder` and return their sorted paths; raise WriteError."""
    wheels = []
    try:
        with tarfile.open(archive) as tar:
            # By hand: Debian 12's Python 3.11.2 has no extraction filters, and only plain wheels may come out.
            for member in tar.getmembers():
                if member.isfile() and member.name.endswith(".whl") and "/" not in member.name:
                    wheels.append(Path(folder) / member.name)
                    wheels[-1].write_bytes(tar.extractfile(member).read())
    except (OSError, tarfile.TarError) as problem:
        raise WriteError(f"{archive}: {problem}") from problem
    return sorted(wheels)


def make_environment(folder, wheels):
    """Make a virtual environment in `folder` that holds the wheels, compiled; raise WriteError.

    `installer` comes with them. pip would have to be put on the host first, and takes five times as long.
    """
    bringers = [wheel for wheel in wheels if wheel.name.startswith("installer-")]
    if len(bringers) != 1:
        raise WriteError(f"the archive holds {len(bringers)} wheels named installer, expected 1: make the wheels anew")
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    sys.path.insert(0, str(bringers[0]))
    try:
        for wheel in wheels:
            _install(wheel, Path(folder))
    finally:
        sys.path.remove(str(bringers[0]))
    # Afterwards and on all cores.
    run([str(Path(folder) / "bin" / "python"), "-m", "compileall", "-q", "-j", "0", str(Path(folder) / "lib")])


def _install(wheel, folder):
    from installer import install  # noqa: PLC0415 - of the wheel that was put on the path
    from installer.destinations import SchemeDictionaryDestination  # noqa: PLC0415
    from installer.exceptions import InstallerError  # noqa: PLC0415
    from installer.sources import WheelFile  # noqa: PLC0415

    paths = sysconfig.get_paths("venv", vars={"base": str(folder), "platbase": str(folder)})
    destination = SchemeDictionaryDestination(paths, interpreter=str(folder / "bin" / "python"), script_kind="posix")
    try:
        with WheelFile.open(wheel) as source:
            source.validate_record()
            install(source, destination, additional_metadata={"INSTALLER": b"xmppgw"})
    except (InstallerError, BadZipFile, OSError, ValueError) as problem:
        raise WriteError(f"{wheel.name}: {problem}") from problem
