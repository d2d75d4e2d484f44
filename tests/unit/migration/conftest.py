"""Makes the playbook-adjacent collection importable, as Ansible itself does."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks" / "collections"))

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import extend  # noqa: E402 - needs the path above
from tests.unit.migration.world import World  # noqa: E402 - needs the path above


@pytest.fixture
def world(tmp_path):
    """An environment in which nothing was done yet and nothing is wrong."""
    return World(tmp_path)


@pytest.fixture
def sealed():
    """Journal records from bodies, as the authority would have written them."""
    return lambda bodies: extend([], [{"time": "2026-01-01T00:00:00Z", **body} for body in bodies])
