"""Which release of the gateway a host runs: the `current` link, the one before it, and the way from one to the other.

Used by the modules `install_release` and `switch_release` on the host. Releases are folders beside each other; none is
ever removed here.
"""

from __future__ import annotations

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


def destination(prefix, *, release, back):
    """Return the folder name to switch to: the given release, or with `back` the one that ran before."""
    name = target_of(prefix, "previous") if back else release
    if name is None:
        raise SwitchError("no release ran here before the present one: there is nothing to go back to")
    if not (Path(prefix) / name / "release.json").exists():
        raise SwitchError(f"the release {name} is not installed under {prefix}")
    return name


def switch(prefix, name, *, accepts, drain, restart, healthy):
    """Take the host to the release `name`; on failure take it back by itself. Returns what was done, in order.

    `accepts(folder)`: None, or why the release refuses the present configuration. `drain()`: let the daemon finish.
    `restart()`: start what `current` names. `healthy()`: (reached, sentence). Raises SwitchError.
    """
    old = target_of(prefix, "current")
    if old == name:
        return []
    refusal = accepts(Path(prefix) / name)
    if refusal:
        raise SwitchError(f"{name} does not accept the present configuration: {refusal}. Nothing was changed.")
    did = [f"drained: {drain()}"]
    point(prefix, "current", name)
    reached, sentence = _started(restart, healthy)
    did.append(f"switched from {old} to {name}")
    if reached:
        point(prefix, "previous", old)
        return did
    point(prefix, "current", old)
    recovered, after = _started(restart, healthy)
    standing = f"{old} is back and well" if recovered else f"{old} was started again, but is not well either: {after}"
    raise SwitchError(f"{name} did not come up well: {sentence}. {standing}.")


def _started(restart, healthy):
    try:
        restart()
    except Exception as problem:
        return False, str(problem)
    return healthy()
