"""What 200,000 users cost: a sync, one explanation, the index, a start of the access rules, one look-up per message.

The front end's cost is printed as a ratio to that of a table with a hundredth of the users: it should stay near 1.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import Measurement

from xmppgw.policy.index import UserIndex, build_index
from xmppgw.policy.users import User

USERS = 200_000
FEW = USERS // 100
LOOKUPS = 20_000
DOCUMENT = Path(__file__).resolve().parents[2] / "inventories/lab/group_vars/all/federation.yml"
CONSOLE_SCRIPT = Path(sys.executable).with_name("xmppgw")


def people(count: int) -> list[User]:
    """A deployment of forty sites; every tenth user was granted a policy."""
    return [
        User(
            f"user{number:06}@corp.example",
            f"pool{number % 40:02}.corp.example",
            f"Site{number % 40:02}",
            "FedPic" if number % 10 == 0 else "",
        )
        for number in range(count)
    ]


def run(users: int = USERS, few: int = FEW) -> list[Measurement]:
    """Measure with `users` and with `few`."""
    group = f"A table of {users:,} users"
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        rows = [
            Measurement(group, "xmppgw user sync --apply (CSV export)", _sync(folder, users), "s"),
            Measurement(group, "the same export again: users changed", float(_changes(folder)), ""),
        ]
        seconds, memory = _explain(folder)
        rows.append(Measurement(group, "xmppgw policy explain", seconds, "s", note=f"{memory:.0f} MiB at most"))
        times = {count: _front_end(folder, count) for count in (few, users)}
    (few_opened, few_found), (opened, found) = times[few], times[users]
    note = f"to the same with {few:,} users"
    return [
        *rows,
        Measurement(group, "look-ups a second", LOOKUPS / found, "1/s"),
        Measurement(group, "opening the index, ratio", opened / few_opened, "", note=note),
        Measurement(group, "one look-up, ratio", found / few_found, "", note=note),
    ]


def _sync(folder: Path, count: int) -> float:
    export = folder / "users.csv"
    with export.open("w", encoding="utf-8") as file:
        file.write('"SipAddress","RegistrarPool","ExternalAccessPolicy","Enabled","HostingProvider"\r\n')
        for user in people(count):
            file.write(f'"sip:{user.user}","{user.pool}","{user.policy}","True","SRV:"\r\n')
    start = time.perf_counter()
    _command(folder, "--apply")
    return time.perf_counter() - start


def _changes(folder: Path) -> int:
    result = json.loads(_command(folder, "--format", "json"))
    return len(result["added"]) + len(result["removed"]) + len(result["changed"])


def _command(folder: Path, *arguments: str) -> str:
    command = [str(CONSOLE_SCRIPT), "user", "sync", str(folder / "users.csv"), "--users", str(folder / "users.table")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def _explain(folder: Path) -> tuple[float, float]:
    """Seconds, and MiB at most, of `xmppgw policy explain` for the last user of the table."""
    command = [str(CONSOLE_SCRIPT), "policy", "explain", "user000000@corp.example", "--document", str(DOCUMENT)]
    start = time.perf_counter()
    measured = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
    measured += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    arguments = [sys.executable, "-c", measured, *command, "--users", str(folder / "users.table")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout) / 1024


def _front_end(folder: Path, count: int) -> tuple[float, float]:
    """Seconds to open the index, and for LOOKUPS look-ups of users drawn at random."""
    path = folder / f"{count}.sqlite"
    build_index(people(count), path)
    draw = random.Random(count)
    keys = [f"user{draw.randrange(count):06}@corp.example" for _ in range(LOOKUPS)]
    start = time.perf_counter()
    index = UserIndex(path)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    missing = sum(index.find(key) is None for key in keys)
    found = time.perf_counter() - start
    index.close()
    assert missing == 0
    return opened, found
