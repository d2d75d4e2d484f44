"""What holds for every test: property tests draw the same examples on every machine, unless somebody explores.

A random counterexample found in somebody else's pipeline is a bug of ours that they cannot act on. `make test-all` (or
XMPPGW_EXPLORE=1) draws anew; what it finds becomes a plain test.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, print_blob=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile("explore" if os.environ.get("XMPPGW_EXPLORE") else "repeatable")
