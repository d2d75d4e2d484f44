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
NO_SIP = (
    "table inet cut { chain input { type filter hook input priority -10; tcp dport 5061 reject with tcp reset; }; }"
)


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
def no_way_to_the_platform(walk: Walk) -> Iterator[None]:
    """While inside, a firewall is closed between our pool and the SIP next hop."""
    walk.lab.run("pool-target", "nft", NO_SIP)
    try:
        yield
    finally:
        walk.lab.run("pool-target", "nft", "delete", "table", "inet", "cut")


def test_a_platform_that_cannot_be_reached_holds_everything_up(midway: Walk) -> None:
    with no_way_to_the_platform(midway):
        assert_refused(midway.playbook("migrate.yml", "until=5"), "migration-next-hop")
        assert ":5269 " not in midway.lab.run("edge1", "ss", "-ltn")


def test_what_the_first_four_steps_made_is_made_again_before_the_fifth(midway: Walk) -> None:
    """The TTL is high again, the certificate is gone, and a user is back on the legacy pool."""
    served_with(midway, 15)
    midway.lab.run("edge1", "rm", CERTIFICATE)
    for pool in ("pool-legacy", "pool-target"):
        midway.lab.rpc(pool, "htable.sets", "homing", "dave", "pool-legacy")
    done = midway.playbook("migrate.yml", "until=5")
    assert done.returncode == 0, said(done)
    banners = [line[:5] for line in done.stdout.splitlines() if line.startswith("(")]
    assert banners == [f"({number}/6)" for number in range(1, 6)]
    assert midway.lab.tables("pool-legacy")["homing"]["dave"] == "pool-target"
    assert midway.lab.run("edge1", "test", "-s", CERTIFICATE) == ""
    assert ":5269 " in midway.lab.run("edge1", "ss", "-ltn")
