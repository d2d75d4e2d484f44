"""A conversation on host users: numbered messages between pairs of people, and what came of each.

Used by the tests of the stand-ins and by those that look at single messages. people.service must be stopped meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.lab.servers_stand_ins.stand_ins import HERE, Lab

from xmpp_infra.lab.servers import LAB

PERSONS = {f"{user}@{partner.domain}": partner.address.ipv4 for partner in LAB.partners for user in partner.users}


@dataclass
class Traffic:
    """The result of a stretch of traffic, there once the block that made it has ended."""

    result: dict[str, object] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return self.result[name]


def bring(lab: Lab) -> None:
    """Put the program that talks on the people's host."""
    lab.put("users", "/root/traffic.py", (HERE / "traffic.py").read_text(encoding="utf-8"))


@contextmanager
def conversation(
    lab: Lab,
    pairs: list[tuple[str, str]],
    count: int | None = None,
    rate: float = 20.0,
    proxy: str = LAB.pools[1].address.ipv4,
    elsewhere: bool = False,
    notices: int = 0,
) -> Iterator[Traffic]:
    """Numbered messages flow between the pairs while the block runs, and are counted at its end.

    With `count` exactly so many are sent in each direction, and the block may end earlier.
    """
    people = {xmpp: (PERSONS[xmpp], lab.secrets[f"xmpp/{xmpp}"]) for _, xmpp in pairs if xmpp in PERSONS}
    orders = {
        "people": {} if elsewhere else people,
        "pairs": pairs,
        "count": count,
        "rate": rate,
        "proxy": proxy,
        "elsewhere": elsewhere,
        "notices": notices,
    }
    process = lab.start("users", "python3", "/root/traffic.py")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(orders) + "\n")
    process.stdin.flush()
    first = process.stdout.readline()
    if first != "ready\n":
        process.kill()
        raise AssertionError(f"traffic did not begin: {first}{process.communicate()}")
    seen = Traffic()
    try:
        yield seen
    finally:  # a block that failed must not leave its traffic to the next one
        output, errors = process.communicate("stop\n", timeout=600)
    assert process.returncode == 0, f"traffic failed:\n{output}{errors}"
    seen.result.update(json.loads(output))
