"""Whether the bundled wheels run on a host: its Python, its processor and its C library.

Source: PyPA specifications, platform compatibility tags.
"""

from __future__ import annotations

from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

NOW = (
    "Deploy to Debian 12 hosts with the processor of the controller on which `.ci/setup --for deploy` collected the "
    "wheels, or collect them on such a controller."
)
"""What to do about it."""
ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Minor version of glibc to the older name of its platform."""


def unfit(names, runs_on):
    """Return those of the wheels' file names that a host ({python, machine, libc}) cannot use, sorted."""
    version = tuple(int(part) for part in runs_on["python"].split("."))
    machine, newest = runs_on["machine"], int((runs_on["libc"] or "2.0").split(".")[1])
    platforms = []
    for minor in range(newest, 4, -1):
        platforms += [f"{name}_{machine}" for name in (f"manylinux_2_{minor}", ALIASES.get(minor)) if name]
    platforms.append(f"linux_{machine}")
    interpreter = f"cp{version[0]}{version[1]}"
    usable = {*cpython_tags(version, [interpreter], platforms), *compatible_tags(version, interpreter, platforms)}
    return sorted(name for name in names if not usable & parse_wheel_filename(name)[3])


def misfits(release, seen):
    """Return, for each host ({host: what stands there}) that wheels of a release do not run on, which, in words."""
    names, found = [Path(path).name for path in release["files"]], []
    for host, runs_on in sorted((host, gateway["runs_on"]) for host, gateway in seen.items()):
        wrong = unfit(names, runs_on)
        if wrong:
            libc = f"glibc {runs_on['libc']}" if runs_on["libc"] else "no glibc"
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            found.append(f"{host} (Python {runs_on['python']}, {runs_on['machine']}, {libc}): {wrong[0]}{more}")
    return found
