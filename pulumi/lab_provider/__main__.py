"""Entry of the plug-in: `python lab_provider ENGINE_ADDRESS` prints the port it serves on, as both engines expect."""

import sys
from pathlib import Path

# Started by path: our own modules must not stand where an `import` looks first, the package itself must be found.
here = Path(__file__).resolve().parent
sys.path = [str(here.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]

from lab_provider.provider import main  # noqa: E402

main()
