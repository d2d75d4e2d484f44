"""How long `xmppgw check` and `xmppgw plan` take for a document with 10,000 partners and a table of 200,000 users."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from tests.benchmarks.measure import Measurement

PARTNERS = 10_000
USERS = 200_000
DOCUMENT = Path(__file__).resolve().parents[2] / "inventories/lab/group_vars/all/federation.yml"
CONSOLE_SCRIPT = Path(sys.executable).with_name("xmppgw")


def run() -> list[Measurement]:
    """`check` and `plan` as commands, the start of Python included."""
    with tempfile.TemporaryDirectory() as directory:
        path = write_environment(Path(directory))
        sizes = [path.stat().st_size, path.with_name("users.table").stat().st_size]
        times = {verb: _timed(verb, path) for verb in ("check", "plan")}
    group = f"{PARTNERS:,} partners ({sizes[0] / 1e6:.1f} MB) and {USERS:,} users ({sizes[1] / 1e6:.1f} MB)"
    rows = [
        Measurement(group, f"xmppgw {verb} --format json", wall, "s", note=f"{processor:.2f} s of processor time")
        for verb, (wall, processor) in times.items()
    ]
    wall, processor = (sum(column) for column in zip(*times.values(), strict=True))
    note = f"{processor:.2f} s of processor time; goal: below 5 s"
    return [*rows, Measurement(group, "check + plan", wall, "s", note=note)]


def write_environment(directory: Path, partners: int = PARTNERS, users: int = USERS) -> Path:
    """A document with that many partners, and beside it a users' table; returns the document's path."""
    document = yaml.safe_load(DOCUMENT.read_text())
    federation = document["federation"]
    # It names a partner and users of the lab, which are not here.
    federation.pop("pilot", None)
    federation["users"] = {"export": "users.table", "waves": {"size": 500}}
    federation["access_policies"]["users"] = [
        {"name": "FedPic", "enable_federation_access": True, "enable_xmpp_access": True}
    ]
    federation["partners"] = [
        {
            "domain": f"partner-{number}.example",
            "additional_domains": [f"chat.partner-{number}.example"],
            "type": "federated",
            "tls": "required",
            "sasl": ("required", "optional")[number % 2],
            "dialback": bool(number % 2),
        }
        for number in range(partners)
    ]
    path = directory / "federation.yml"
    path.write_text(yaml.safe_dump(document))
    with path.with_name("users.table").open("w") as file:
        file.write('{"schema": 1, "users": [\n')
        file.write(",\n".join(_user(number) for number in range(users)))
        file.write("\n]}\n")
    return path


def _user(number: int) -> str:
    site, policy = f"Site {number % 20}", ("", "FedPic")[number % 2]
    address = f"user-{number:06}@corp.example"
    return json.dumps({"user": address, "pool": "pool-legacy.corp.example", "site": site, "policy": policy})


def _timed(verb: str, path: Path) -> tuple[float, float]:
    """Seconds on the wall and on the processor."""
    command = [str(CONSOLE_SCRIPT), verb, "--document", str(path), "--format", "json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} exited {done.returncode}: {done.stderr.decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
