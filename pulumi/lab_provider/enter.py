"""Enter a running host of the lab as root, past its network: `python -m lab_provider.enter HOST [COMMAND...]`."""

from __future__ import annotations

import os
import subprocess
import sys

from lab_provider import machines
from lab_provider.places import Places


def main() -> int:
    """Exit status of the command, or of a shell if none is given; 1: the host is down, 2: no host is named."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    process = machines.first_process(Places.from_environment(), sys.argv[1])
    if process is None:
        print(f"host {sys.argv[1]} is not running", file=sys.stderr)
        return 1
    command = sys.argv[2:] or ["/bin/bash", "-l"]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": os.environ.get("TERM", "dumb"),
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
    }
    whole = ["nsenter", "--target", str(process), "--all", "--", *command]
    return subprocess.run(whole, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
