"""Which release of the gateway a host runs: the `current` link, the one before it, and the way from one to the other.

Used by the modules `install_release`, `switch_release` and `host_state` on the host. Releases are folders beside each
other; none is ever removed here. Which of them a host goes to is decided on the controller, from the journal.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


class SwitchError(Exception):
    """The release cannot be switched; the text says what stands now and what to do."""


def folder_of(prefix, version, wheels):
    """Return the folder of a release: its version and the beginning of the digest over its wheels."""
    return Path(prefix) / f"{version}+{wheels[:12]}"


def point(prefix, name, target):
    """Point a link under `prefix` at a release atomically."""
    half = Path(prefix) / f".{name}-new"
    half.unlink(missing_ok=True)
    half.symlink_to(target)
    half.replace(Path(prefix) / name)


def target_of(prefix, name):
    """Return the folder name that a link under `prefix` points at, or None."""
    link = Path(prefix) / name
    return link.readlink().name if link.is_symlink() else None


def installed(prefix):
    """Return the sorted folder names of the releases that are whole: their marker is written last."""
    return sorted(
        marker.parent.name for marker in Path(prefix).glob("*/release.json") if not marker.parent.is_symlink()
    )


def switch(prefix, name, *, accepts, drain, restart, healthy, runs_current):
    """Take the host to the release `name`; on failure take it back by itself. Returns what was done, in order.

    `accepts(folder)`: None, or why the release refuses the present configuration. `drain()`: let the daemon finish.
    `restart()`: start what `current` names. `healthy()`: (reached, sentence). `runs_current()`: whether the daemon was
    started since `current` was pointed. Raises SwitchError.
    """
    if name not in installed(prefix):
        raise SwitchError(f"the release {name} is not installed under {prefix}")
    old, before_that = target_of(prefix, "current"), target_of(prefix, "previous")
    if old == name:
        return _finish(name, restart, healthy, runs_current)
    refusal = accepts(Path(prefix) / name)
    if refusal:
        raise SwitchError(f"{name} does not accept the present configuration: {refusal}. Nothing was changed.")
    did = [f"drained: {drain()}"]
    try:
        # First: whoever is killed between the two leaves a `previous` that is true as soon as `current` moves.
        _point_or_remove(prefix, "previous", old)
        point(prefix, "current", name)
    except OSError as problem:
        reached, sentence = False, f"its link could not be made: {problem}"
    else:
        reached, sentence = _started(restart, healthy)
    if reached:
        return [*did, f"switched from {old} to {name}"]
    if target_of(prefix, "current") != old:
        _point_or_remove(prefix, "current", old)
    # Even where nothing was switched: the daemon has been drained.
    recovered, after = _started(restart, healthy)
    # Last: where there is no room for the link, the daemon is more urgent.
    with contextlib.suppress(OSError):
        _point_or_remove(prefix, "previous", before_that)
    standing = f"{old} is back and well" if recovered else f"{old} was started again, but is not well either: {after}"
    raise SwitchError(f"{name} did not come up well: {sentence}. {standing}.")


def _finish(name, restart, healthy, runs_current):
    """Start the release if a run was killed between its link and its start, and see it well."""
    if runs_current():
        did, (reached, sentence) = [], healthy()
    else:
        did, (reached, sentence) = [f"started {name}, which an earlier run had switched to"], _started(restart, healthy)
    if not reached:
        raise SwitchError(f"{name} was the current release already and is not well: {sentence}. It was left there.")
    return did


def _point_or_remove(prefix, name, target):
    """Point a link at a release; without one there is no such link."""
    if target is None:
        (Path(prefix) / name).unlink(missing_ok=True)
    else:
        point(prefix, name, target)


def _started(restart, healthy):
    try:
        restart()
    except Exception as problem:
        return False, str(problem)
    return healthy()
