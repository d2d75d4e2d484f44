"""Rollback from every step to every earlier one, under traffic: nothing lost, doubled or returned, all stands again.

All 21 belong to `make test-all`, which goes on where it was stopped; a table of all cells is tests/walked/*.md.
They are walked in chains: from one cell's end the next one begins, and a migration goes up only as far as it must.
"""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from tests.lab.conftest import Chat, Walk
from tests.lab.ledger import Ledger
from tests.lab.recount import Stretch, count, read

from xmppgw.probe.report import DROPPED_BOUND

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CHAINS = (
    (6, 5, 4, 3, 2, 1, 0), (6, 4, 2, 0), (5, 3, 1), (6, 3, 0),
    (5, 2), (4, 1), (6, 2), (5, 1), (4, 0), (6, 1), (5, 0), (6, 0),
)  # fmt: skip
"""Every step to every earlier one, each once: no fewer migrations than these twelve can be followed by all 21."""
FAULTS = ("returned", "lost", "doubled", "unexplained")
SRV = "_xmpp-server._tcp.corp.example"


def stands(walk: Walk) -> dict[str, object]:
    """What a person would look at: where users live, where routes and SRV records point, what is open."""
    tables = walk.lab.tables("pool-target")
    listening = walk.lab.run("edge1", "ss", "-ltn")
    return {
        "homes": {value.partition(".")[0] for value in tables["homing"].values()},
        "routes": set(tables["route"].values()),
        "srv": walk.lab.run("dns2", "kdig", "@203.0.113.53", SRV, "SRV", "+short").split()[3].split(".")[0],
        "5269 open": ":5269 " in listening,
        "link open": ":23456 " in listening,
    }


def expected(step: int) -> dict[str, object]:
    """What stands when the first `step` steps are done and no more, 0 to 5."""
    return {
        "homes": {"pool-target" if step >= 3 else "pool-legacy"},
        "routes": {"legacy"},
        "srv": "legacy1",
        "5269 open": step >= 5,
        "link open": step >= 2,
    }


def run(walk: Walk, chat: Chat, playbook: str, *variables: str) -> None:
    process = walk.start(playbook, *variables, steps=chat.steps)
    said, _ = process.communicate()
    assert process.returncode == 0, said[-8000:]


def walk_chain(walk: Walk, chat: Chat, chain: tuple[int, ...]) -> list[Stretch]:
    """Migrate to where the chain begins and roll back to each of the others in turn; when each was done."""
    begin = time.time()
    run(walk, chat, "migrate.yml", f"last_step={chain[0]}")
    stretches = [Stretch(f"up to {chain[0]}", begin, time.time())]
    for start, end in pairwise(chain):
        run(walk, chat, "rollback.yml", f"to={end}")
        assert stands(walk) == expected(end)
        stretches.append(Stretch(f"{start} to {end}", stretches[-1].end, time.time()))
    return stretches


@pytest.mark.parametrize("chain", CHAINS, ids=["-".join(map(str, chain)) for chain in CHAINS])
def test_every_cell(there_and_back: Walk, chain: tuple[int, ...]) -> None:
    ledger = Ledger("rollback-cells")
    if all(f"{start} to {end}" in ledger for start, end in pairwise(chain)):
        return
    with there_and_back.chatting() as chat:
        stretches = walk_chain(there_and_back, chat, chain)
    account, unprotected = read(chat.steps.parent / "evidence"), 0
    for stretch in stretches:
        counts = count(account, stretch)
        unprotected += counts["unprotected"]
        wrong = {key: counts[key] for key in FAULTS if counts[key]}
        assert not wrong, f"{stretch.name}: {counts}"
        assert counts["sent"]
        ledger.add(stretch.name if stretch.name[0].isdigit() else f"{stretch.name} for {chain}", **counts)
    # Nothing but what is in a partner's own log as dropped while its stream was being closed.
    assert unprotected <= account.dropped_by_partner <= DROPPED_BOUND
    assert not chat.report["verdict"]["problems"]
