"""`python -m xmppgw.cli`: the console script where no console script is installed."""

import sys

from xmppgw.cli.program import main

sys.exit(main())
