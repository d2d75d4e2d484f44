"""Guards of the later steps on a lab that has come half way: each thing broken, refused by its code, and put right.

What the fresh lab can break is in test_guards_bite.py. A refused run leaves everything as it was; at the end step 5 is
done as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.lab.conftest import Walk
from tests.lab.servers_stand_ins.stand_ins import eventually
from tests.lab.test_guards_bite import assert_refused, homed, said, zone_change

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
    zone_change(walk, f"zone-unset corp.example {SRV} SRV", f"zone-set corp.example {SRV} {record}")

    def everywhere() -> bool:
        answers = [
            walk.lab.run("dns1", "kdig", f"@203.0.113.{last}", f"{SRV}.corp.example", "SRV", "+noall", "+answer")
            for last in (53, 54)
        ]
        return all(answer.split()[1] == str(ttl) for answer in answers)

    eventually("both servers serve it", everywhere)


@contextmanager
def high_ttl(walk: Walk) -> Iterator[None]:
    """While inside, somebody has raised the TTL that step 4 lowered."""
    served_with(walk, 15)
    try:
        yield
    finally:
        served_with(walk, 3)


@contextmanager
def without_certificate(walk: Walk) -> Iterator[None]:
    walk.lab.run("edge1", "mv", CERTIFICATE, "/root/public.crt")
    try:
        yield
    finally:
        walk.lab.run("edge1", "mv", "/root/public.crt", CERTIFICATE)


@contextmanager
def no_way_to_the_platform(walk: Walk) -> Iterator[None]:
    """While inside, a firewall is closed between our pool and the SIP next hop."""
    walk.lab.run("pool-target", "nft", NO_SIP)
    try:
        yield
    finally:
        walk.lab.run("pool-target", "nft", "delete", "table", "inet", "cut")


@contextmanager
def somebody_went_home(walk: Walk) -> Iterator[None]:
    with homed(walk, "dave", "pool-legacy"):
        yield


BREAKS: dict[str, tuple[str, Callable[[Walk], object]]] = {
    "the-ttl-is-high-again": ("migration-ttl", high_ttl),
    "an-edge-lost-its-certificate": ("migration-certificate-public", without_certificate),
    "the-platform-cannot-be-reached": ("migration-next-hop", no_way_to_the_platform),
    "a-user-is-on-the-legacy-pool": ("migration-r3", somebody_went_home),
}


@pytest.mark.parametrize(("code", "breaking"), BREAKS.values(), ids=BREAKS)
def test_step_5_refuses_what_was_broken_after_step_4(
    midway: Walk, code: str, breaking: Callable[[Walk], object]
) -> None:
    with breaking(midway):
        assert_refused(midway.playbook("migrate.yml", "until=5"), code)
        assert "5269" not in midway.lab.run("edge1", "ss", "-ltn")


def test_and_goes_on_once_all_is_put_right(midway: Walk) -> None:
    done = midway.playbook("migrate.yml", "until=5")
    assert done.returncode == 0, said(done)
    assert ":5269 " in midway.lab.run("edge1", "ss", "-ltn")
