"""The emergency exit: removes a lab without asking any state file, also after a crash, also half a lab.

`make lab-down` runs it after `destroy`; `--host NAME` removes one host, which the next `up` makes anew.
It touches only what carries this lab's directory or namespace name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from lab_provider import machines, namespace
from lab_provider.places import Places


def remove_host(places: Places, name: str) -> None:
    """Remove one host: processes, disk, wires."""
    machines.delete(places, name)


def remove_everything(places: Places) -> list[str]:
    """Remove processes, namespaces, control groups and files of a lab; returns one line per thing that resisted."""
    resisted: list[str] = []
    for name in _host_names(places):
        try:
            machines.pull_the_plug(places, name)
            machines.delete(places, name)
        except (machines.MachineError, namespace.NamespaceError, subprocess.CalledProcessError) as problem:
            resisted.append(f"host {name}: {problem}")
    own = [name for name in namespace.names() if name == places.namespace or name.startswith(f"{places.namespace}-")]
    for name in own:
        for process in namespace.processes(name):
            os.kill(process, signal.SIGKILL)
        try:
            namespace.delete(name)
        except namespace.NamespaceError as problem:
            resisted.append(f"namespace {name}: {problem}")
    for group in places.control_groups("x"):
        machines.remove_control_group(group.parent)
        if group.parent.is_dir():
            resisted.append(f"control group {group.parent} still has processes")
    if not resisted:
        shutil.rmtree(places.lab, ignore_errors=True)
        if places.lab.exists():
            resisted.append(f"{places.lab} could not be removed")
    return resisted


def _host_names(places: Places) -> list[str]:
    """Hosts by every trace that they leave: directory, namespace, control group."""
    found = {path.name for path in (places.lab / "hosts").glob("*")}
    found |= {
        name.removeprefix(f"{places.namespace}-")
        for name in namespace.names()
        if name.startswith(f"{places.namespace}-")
    }
    for group in places.control_groups("x"):
        found |= {path.name for path in group.parent.glob("*") if path.is_dir()}
    return sorted(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0: nothing is left; 1: something resisted, said on standard error."""
    parser = argparse.ArgumentParser(prog="python -m lab_provider.down", description=__doc__)
    parser.add_argument("--host", help="remove this host only; the next `up` makes it anew")
    chosen = parser.parse_args(arguments)
    places = Places.from_environment()
    if os.geteuid() != 0:
        print("lab-down: needs root", file=sys.stderr)
        return 1
    if chosen.host:
        remove_host(places, chosen.host)
        return 0
    resisted = remove_everything(places)
    for line in resisted:
        print(f"lab-down: {line}", file=sys.stderr)
    return 1 if resisted else 0


if __name__ == "__main__":
    sys.exit(main())
