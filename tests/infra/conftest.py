"""The small lab of the infrastructure tests: one per engine, beside whatever lab the machine has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_provider import image
from lab_provider.places import ROOT, Places

from .stack import Stack

ENGINES = ("standalone", "pulumi")


def need(engine: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: it boots hosts")
    missing = [tool for tool in ("systemd-nspawn", "ip", "nsenter", "nft") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if engine == "pulumi" and shutil.which("pulumi") is None:
        pytest.skip("the pulumi command is not on PATH; the standalone engine runs the same tests")


@pytest.fixture(scope="module", params=ENGINES)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    engine: str = request.param
    need(engine)
    cache = Path(os.environ.get("XMPPGW_CACHE_DIR") or ROOT / ".cache")
    image.bake(cache)
    work = tmp_path_factory.mktemp(engine)
    # The lab's own directory must be on a file system that overlayfs can write on; a tmpfs cannot hold four hosts.
    places = Places(
        ROOT / ".cache" / f"infra-test-{engine}-{os.getpid()}", cache, f"inf{engine[0]}{os.getpid() % 100000}"
    )
    made = Stack(engine, places, work)
    try:
        yield made
    finally:
        made.remove()
