"""Whether the bundled wheels run on a host: its Python, its processor and its C library.

Source: PyPA specifications, platform compatibility tags.
"""

from __future__ import annotations

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

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


def misfits(names, hosts):
    """Return, for each host that some wheels do not run on, what it is and which they are, in words."""
    found = []
    for host, runs_on in sorted(hosts.items()):
        wrong = unfit(names, runs_on) if runs_on else []
        if wrong:
            libc = f"glibc {runs_on['libc']}" if runs_on["libc"] else "no glibc"
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            found.append(f"{host} (Python {runs_on['python']}, {runs_on['machine']}, {libc}): {wrong[0]}{more}")
    return found
