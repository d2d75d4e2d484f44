"""Users in waves on a running lab: killed inside a wave and resumed, taken back, and moved by somebody else's hands.

In the order of this file, on one lab of its own; nothing chats meanwhile, so it is the tables and the journal that are
looked at. What people notice of it is in test_whole_migration.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, a_walk

pytestmark = pytest.mark.lab

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
STATE = "/var/lib/xmppgw-migration"
POOLS = ("pool-target", "pool-legacy")
AWAITED = 6


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with a_walk(tmp_path_factory, "waveslab") as walk:
        yield walk


def document(waves: Walk, provider: str, size: int) -> str:
    """A copy of the lab's document with waves of `size` users and another homing provider."""
    content = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    content["federation"]["homing"] = {"provider": provider}
    content["federation"]["users"] = {"waves": {"pilot": ["alice@corp.example"], "size": size}}
    path = waves.output / f"{provider}.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return f"migration_document={path}"


def homes(waves: Walk) -> dict[str, set[str]]:
    """Home to users, over both platforms; users whom the two see differently stand under both homes."""
    found: dict[str, set[str]] = {}
    for pool in POOLS:
        for user, home in waves.lab.tables(pool)["homing"].items():
            found.setdefault(home, set()).add(user)
    return found


def journal(waves: Walk) -> list[dict]:
    return [json.loads(line) for line in waves.lab.run("fe1", "cat", f"{STATE}/journal.jsonl").splitlines()]


def events(waves: Walk, name: str) -> list[dict]:
    return [record for record in journal(waves) if record["event"] == name]


def test_a_run_that_is_killed_inside_a_wave_goes_on_with_that_wave(waves: Walk) -> None:
    """Killed as the second wave begins; the next run finishes what was begun, and moves nobody of the first again."""
    migrate = shlex.join(waves.command("migrate.yml", "until=3", document(waves, "lab", 2)))
    steps = waves.output / "steps.jsonl"
    script = f"""
        export XMPPGW_STEPS_FILE={steps}
        setsid {migrate} & first=$!
        until [ "$(grep -c '"wave_started"' {steps} 2>/dev/null)" = 2 ]; do
            kill -0 $first || exit 9
            sleep 0.05
        done
        kill -9 -- -$first
        wait $first
        exec {migrate}
    """
    done = waves.run("bash", "-c", script)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    everybody = set(waves.lab.tables("pool-target")["homing"])
    assert homes(waves) == {"pool-target": everybody}
    opened, finished = events(waves, "wave_opened"), events(waves, "wave_done")
    assert {record["wave"] for record in opened} == {record["wave"] for record in finished}
    assert [record["wave"] for record in finished] == list(dict.fromkeys(record["wave"] for record in opened))
    assert len({record["digest"] for record in opened}) == len({record["wave"] for record in opened})
    first_time = [user for record in opened for users in record["before"].values() for user in users]
    assert set(first_time) == everybody
    assert all(len(record["users"]) <= 2 for record in finished)
    # The first wave's end was not in the journal yet, so it is verified again; nobody of it moves again.
    pilot = [record["before"] for record in opened if record["number"] == 1]
    assert [bool(before) for before in pilot] == [True] + [False] * (len(pilot) - 1)


def test_what_the_platforms_held_of_every_user_is_kept_for_root_only(waves: Walk) -> None:
    kept: dict[str, set[str]] = {}
    for path in waves.lab.run("fe1", "find", f"{STATE}/waves", "-name", "*.json").split():
        mode, owner = waves.lab.run("fe1", "stat", "-c", "%a %U", path).split()
        assert (mode, owner) == ("600", "root")
        for pool, users in json.loads(waves.lab.run("fe1", "cat", path))["held"].items():
            kept.setdefault(pool, set()).update(users)
            # Also of the wave that was killed: what stood before it, not what it wrote.
            assert {rows["homing"] for rows in users.values()} == {"pool-legacy"}
    assert set(kept) == set(POOLS)
    assert all(users == set(waves.lab.tables("pool-target")["homing"]) for users in kept.values())


def test_a_second_run_moves_nobody(waves: Walk) -> None:
    before = len(events(waves, "wave_opened"))
    done = waves.playbook("migrate.yml", "until=3", document(waves, "lab", 2))
    assert done.returncode == 0, done.stdout[-4000:]
    assert "changed=0" in done.stdout
    assert len(events(waves, "wave_opened")) == before


def test_the_waves_are_taken_back_the_last_one_first(waves: Walk) -> None:
    order = list(dict.fromkeys(record["wave"] for record in events(waves, "wave_opened")))
    done = waves.playbook("rollback.yml", "to=2", document(waves, "lab", 2))
    assert done.returncode == 0, done.stdout[-4000:]
    assert set(homes(waves)) == {"pool-legacy"}
    assert [record["wave"] for record in events(waves, "wave_undone")] == list(reversed(order))


def test_hands_move_the_users_and_the_run_waits_for_them(waves: Walk) -> None:
    """With `manual` the run says what to do and stops with a status of its own; the next one verifies and goes on."""
    manual = document(waves, "manual", 500)
    everybody = set(waves.lab.tables("pool-target")["homing"])
    stopped = waves.playbook("migrate.yml", "until=3", manual)
    assert stopped.returncode == AWAITED, stopped.stdout[-4000:]
    assert "migration-handover" in stopped.stdout
    assert set(homes(waves)) == {"pool-legacy"}, "nobody was moved by the run"
    orders = sorted(path.name for path in Path(waves.output, "runbook").iterdir())
    assert orders == ["homing-0-pilot.txt"], "one wave at a time"

    by_hand(waves, listed(waves, "homing-0-pilot.txt"))
    again = waves.playbook("migrate.yml", "until=3", manual)
    assert again.returncode == AWAITED, again.stdout[-4000:]
    rest = listed(waves, "homing-batch-all.txt")
    assert rest, "the pilot was verified, and the next wave handed over"

    by_hand(waves, rest)
    done = waves.playbook("migrate.yml", "until=3", manual)
    assert done.returncode == 0, done.stdout[-4000:]
    assert homes(waves) == {"pool-target": everybody}
    assert 3 in {record["step"] for record in events(waves, "step_done")}


def listed(waves: Walk, name: str) -> list[str]:
    """The users whom an order names, as the platform's table calls them."""
    lines = Path(waves.output, "runbook", name).read_text(encoding="utf-8").splitlines()
    assert all(line.endswith(" on pool-target.corp.example") for line in lines), lines
    known = set(waves.lab.tables("pool-target")["homing"])
    addresses = [line.removeprefix("Home ").partition(" ")[0] for line in lines]
    return [address if address in known else address.partition("@")[0] for address in addresses]


def by_hand(waves: Walk, users: list[str]) -> None:
    """What an administrator does; here through the platforms' own RPC."""
    for pool in POOLS:
        for user in users:
            waves.lab.rpc(pool, "htable.sets", "homing", user, "pool-target")
