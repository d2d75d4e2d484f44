"""Baking an image: killed in the middle it leaves nothing running or mounted, and the next bake starts afresh."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_provider import image
from lab_provider.places import ROOT

pytestmark = pytest.mark.infra

# Needs no network: the layer holds one file. It hangs until it finds `go` in the package cache, which outlives a kill.
FINISH = """
touch /half
if [ ! -e /var/cache/apt/archives/go ]; then
    touch /var/cache/apt/archives/started
    exec sleep 1000
fi
rm /half
touch /whole
"""
BAKE = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lab_provider import image
    image.RECIPES["tiny"] = image.Recipe("tiny", (), sys.argv[2], below=image.PLAIN)
    image.bake(Path(sys.argv[1]), ["tiny"])
""")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that shares the machine's plain image."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts overlays")
    (plain_image,) = image.layers(image.PLAIN, Path(os.environ.get("XMPPGW_CACHE_DIR") or ROOT / ".cache"))
    images = tmp_path / "cache" / "images"
    images.mkdir(parents=True)
    (images / plain_image.name).symlink_to(plain_image.resolve())
    return tmp_path / "cache"


def _start(cache: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BAKE, str(cache), FINISH], cwd=ROOT / "pulumi")


def _until(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, f"after 30 s still not: {what}"
        time.sleep(0.01)


def _traces(cache: Path) -> list[str]:
    found = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(cache) in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(cache).encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                found.append(f"process {process.name}: {(process / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found


def test_a_killed_bake_leaves_nothing_and_the_next_one_is_whole(cache: Path) -> None:
    first = _start(cache)
    _until((cache / "debs" / "started").exists, "the layer is being made")
    assert list((cache / "images").glob(".half-tiny")) != []
    assert list((cache / "images").glob("tiny-*")) == [], "half an image has the name of a whole one"
    first.send_signal(signal.SIGKILL)
    first.wait()
    _until(lambda: _traces(cache) == [], "the killed bake's processes and mounts are gone")
    (cache / "debs" / "go").touch()
    assert _start(cache).wait(60) == 0
    made = (cache / "images" / "current-tiny").resolve()
    assert (made / "whole").exists() and not (made / "half").exists()
    assert not (made / "etc" / "resolv.conf").exists(), "the machine's resolver must not be in the image"
    assert list((cache / "images").glob(".half-*")) == []


def test_two_bakes_at_once_make_one_image(cache: Path) -> None:
    (cache / "debs").mkdir()
    (cache / "debs" / "go").touch()
    both = [_start(cache), _start(cache)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list((cache / "images").glob("tiny-*"))) == 1


def test_a_bake_that_fails_says_what_the_log_says(cache: Path) -> None:
    broken = image.Recipe("broken", (), "echo the mirror is gone >&2; exit 3", below=image.PLAIN)
    image.RECIPES["broken"] = broken
    try:
        with pytest.raises(image.BakeError, match="the mirror is gone"):
            image.bake(cache, ["broken"])
    finally:
        del image.RECIPES["broken"]
    assert list((cache / "images").glob("broken-*")) == []
