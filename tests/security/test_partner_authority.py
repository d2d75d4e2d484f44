"""A partner with an authority of its own: that one counts for it in place of the public ones, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.security.world import Authority, FakePartner, World, world_of

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.tls.identity import CertificateProblem
from xmppgw.xmpp.stream import Authorised, Closed, PeerPolicy

PINNED, OTHER = "pinned.example", "other.example"
ONLY_EXTERNAL = PeerPolicy(True, False, False)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    partners: list[FakePartner] = []

    async def prepare(made: World) -> None:
        own = Authority(tmp_path, "own")
        for domain, authority in ((PINNED, own), (OTHER, own)):
            certificate = authority.issue(domain, [domain])
            partners.append(FakePartner(made, domain, policy=ONLY_EXTERNAL, certificate=certificate))
            await partners[-1].listen()
        made.more_partners = [
            {
                "domain": each.domain,
                "addresses": [{"host": "127.0.0.1", "port": each.port}],
                **({"authority": str(own.path)} if each.domain == PINNED else {}),
            }
            for each in partners
        ]

    async with world_of(tmp_path, prepare) as made:
        made.others = {each.domain: each for each in partners}
        yield made
        for each in partners:
            each.close()


async def connects(partner: FakePartner) -> bool:
    leg = await partner.connect()
    await leg.events.until(lambda items: any(isinstance(each, Authorised | Closed) for each in items))
    return any(isinstance(each, Authorised) for each in leg.events.items)


async def test_its_own_authority_counts_for_it_and_for_nobody_else(world: World) -> None:
    assert await connects(world.others[PINNED])
    assert (await world.control("connect", partner=PINNED))["outcome"] == "S"
    assert not await connects(world.others[OTHER])
    assert (await world.control("connect", partner=OTHER))["stage"] == "tls"


async def test_a_public_certificate_does_not_count_for_it(world: World) -> None:
    public = FakePartner(world, PINNED, policy=ONLY_EXTERNAL, certificate=world.public.issue("forged", [PINNED]))
    assert not await connects(public)
    public.close()


async def test_an_authority_that_is_not_there_is_refused_at_a_reload(world: World, tmp_path: Path) -> None:
    (tmp_path / "own.pem").unlink()
    with pytest.raises(CertificateProblem):
        world.edge.reload(decode_edge_settings(world.edge_settings()))
    assert await connects(world.others[PINNED]), "what was loaded stays"
