"""What holds for every test: property tests draw the same examples on every machine, unless somebody explores.

A random counterexample found in somebody else's pipeline is a bug of ours that they cannot act on. `make test-all` (or
XMPPGW_EXPLORE=1) draws anew; what it finds becomes a plain test. Neither judges by the time that an example takes: it
is the machine's, which others may share.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from tests.lab.walks import Walks

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("repeatable", untimed, derandomize=True)
settings.register_profile("explore", untimed, derandomize=False)
settings.load_profile("explore" if os.environ.get("XMPPGW_EXPLORE") else "repeatable")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With XMPPGW_WALK_ON, files of long walks that were gone through already are skipped, and the others noted."""
    if os.environ.get("XMPPGW_WALK_ON"):
        if config.option.keyword or any("::" in name for name in config.args):
            raise pytest.UsageError("XMPPGW_WALK_ON walks whole files: without -k and without ::")
        config.pluginmanager.register(Walks(items))
