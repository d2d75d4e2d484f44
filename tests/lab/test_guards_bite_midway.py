"""A lab that has come half way, and somebody who breaks something: refused by its code, or put right before step 5.

What the fresh lab can break is in test_guards_bite.py. What a step has made is that step's to make again: the guards of
the TTL, the certificate and the users' homes protect step 5 from a run that did not do so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.lab.conftest import Walk
from tests.lab.servers_stand_ins.stand_ins import eventually
from tests.lab.test_guards_bite import assert_refused, said

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SRV = "_xmpp-server._tcp"
CERTIFICATE = "/etc/xmppgw/tls/public.crt"


@pytest.fixture
def midway(there_and_back: Walk) -> Walk:
    """Users moved, certificates there, the TTL low; no partner admitted."""
    done = there_and_back.playbook("migrate.yml", "until=4")
    assert done.returncode == 0, said(done)
    return there_and_back


def served_with(walk: Walk, ttl: int) -> None:
    record = f"{ttl} SRV 10 10 5269 legacy1.corp.example."
    walk.lab.edit_zone("corp.example", f"unset {SRV} SRV", f"set {SRV} {record}")

    def everywhere() -> bool:
        answers = [
            walk.lab.run("dns1", "kdig", f"@203.0.113.{last}", f"{SRV}.corp.example", "SRV", "+noall", "+answer")
            for last in (53, 54)
        ]
        return all(answer.split()[1] == str(ttl) for answer in answers)

    eventually("both servers serve it", everywhere)


@contextmanager
def closed(walk: Walk, host: str, rule: str) -> Iterator[None]:
    """While inside, a firewall in front of a host refuses what the rule names."""
    chain = f"chain input {{ type filter hook input priority -10; {rule} reject with tcp reset; }};"
    walk.lab.run(host, "nft", f"table inet cut {{ {chain} }}")
    try:
        yield
    finally:
        walk.lab.run(host, "nft", "delete", "table", "inet", "cut")


def live_at(walk: Walk, user: str, pool: str) -> None:
    """Somebody moves a user by hand."""
    for each in ("pool-legacy", "pool-target"):
        walk.lab.rpc(each, "htable.sets", "homing", user, pool)


def test_a_platform_that_cannot_be_reached_holds_everything_up(midway: Walk) -> None:
    with closed(midway, "pool-target", "tcp dport 5061"):
        assert_refused(midway.playbook("migrate.yml", "until=5"), "migration-next-hop")
        assert ":5269 " not in midway.lab.run("edge1", "ss", "-ltn")


def test_what_the_first_four_steps_made_is_made_again_before_the_fifth(midway: Walk) -> None:
    """The TTL is high again, the certificate is gone, and a user is back on the legacy pool."""
    served_with(midway, 15)
    midway.lab.run("edge1", "rm", CERTIFICATE)
    live_at(midway, "dave", "pool-legacy")
    done = midway.playbook("migrate.yml", "until=5")
    assert done.returncode == 0, said(done)
    banners = [line[:5] for line in done.stdout.splitlines() if line.startswith("(")]
    assert banners == [f"({number}/6)" for number in range(1, 6)]
    assert midway.lab.tables("pool-legacy")["homing"]["dave"] == "pool-target"
    assert midway.lab.run("edge1", "test", "-s", CERTIFICATE) == ""
    assert ":5269 " in midway.lab.run("edge1", "ss", "-ltn")


def test_nobody_moves_while_partners_are_configured_on_our_side(there_and_back: Walk) -> None:
    """Five steps are done: a user who lives on the legacy pool would lose the partners (R1), unless they wait."""
    live_at(there_and_back, "dave", "pool-legacy")
    assert_refused(there_and_back.playbook("migrate.yml"), "migration-r1")
    assert there_and_back.lab.tables("pool-target")["homing"]["dave"] == "pool-legacy"
    back = there_and_back.playbook("rollback.yml", "to=4")
    assert back.returncode == 0, said(back)
    done = there_and_back.playbook("migrate.yml", "until=5")
    assert done.returncode == 0, said(done)
    assert there_and_back.lab.tables("pool-target")["homing"]["dave"] == "pool-target"


def test_an_edge_that_nobody_outside_reaches_does_not_get_into_dns(there_and_back: Walk) -> None:
    lab = there_and_back.lab
    with closed(there_and_back, "edge1", "ip saddr 203.0.113.0/25 tcp dport 5269"):
        assert_refused(there_and_back.playbook("migrate.yml"), "migration-vantage")
        targets = lab.run("dns1", "kdig", "@203.0.113.53", f"{SRV}.corp.example", "SRV", "+short")
        assert "legacy1" in targets
        assert "edge1" not in targets
    done = there_and_back.playbook("migrate.yml")
    assert done.returncode == 0, said(done)
