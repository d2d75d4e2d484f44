"""What an operator does with running daemons: look, connect, close, reload, drain."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.security.world import OWN, FakePartner, World, eventually, world_of
from tests.unit.edge.names import Names

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.telemetry.health_record import record
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.tls.identity import CertificateProblem
from xmppgw.xmpp.stream import Closed, DialbackOutcome, PeerPolicy


async def ask(world: World, daemon: str, **request: Any) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(str(world.folder / f"{daemon}.sock"))
    writer.write(json.dumps(request).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    assert isinstance(answer, dict)
    return answer


async def get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = (await reader.read(-1)).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


async def test_connect_proves_each_partner_and_says_how(world: World) -> None:
    first = await ask(world, "edge", command="connect", partner="partner1.example", local=OWN)
    second = await ask(world, "edge", command="connect", partner="partner2.example")
    assert (first["ok"], first["outcome"], first["reason"]) == (True, "S", "external over TLS")
    assert (second["ok"], second["outcome"], second["reason"]) == (True, "T", "dialback over TLS")
    streams = (await ask(world, "edge", command="streams"))["streams"]
    assert [(each["remote"], each["direction"], each["method"]) for each in streams] == [
        ("partner1.example", "out", "external"),
        ("partner2.example", "out", "dialback"),
    ]
    assert set(streams[0]) >= {"local", "remote", "direction", "method", "since", "stanzas", "address"}


async def test_connect_says_how_far_it_got(world: World) -> None:
    unknown = await ask(world, "edge", command="connect", partner="stranger.example")
    assert (unknown["ok"], unknown["stage"]) == (False, "policy")
    world.partner1.stop_listening()
    gone = await ask(world, "edge", command="connect", partner="partner1.example")
    assert (gone["ok"], gone["stage"], gone["condition"]) == (False, "connect", "remote-server-timeout")
    # Whoever answers for our domain does not know the key: what a migration sees before it has moved DNS.
    asked = world.partner2.ask

    def answer(leg: Any, request: Any) -> None:
        now = asyncio.get_running_loop().time()
        leg.obey(leg.machine.dialback_checked(request, DialbackOutcome.INVALID, "", now))

    world.partner2.ask = answer  # type: ignore[method-assign]
    refused = await ask(world, "edge", command="connect", partner="partner2.example")
    assert (refused["ok"], refused["stage"]) == (False, "dialback")
    world.partner2.ask = asked  # type: ignore[method-assign]
    assert (await ask(world, "edge", command="connect", partner="partner2.example"))["outcome"] == "T"


async def test_closing_a_partner_closes_gracefully_and_loses_nothing(world: World) -> None:
    leg = await world.partner1.authenticated()
    await ask(world, "edge", command="connect", partner="partner1.example")
    for number in range(50):
        leg.send(world.partner1.message(f"m{number}", number=str(number)))
    answer = await ask(world, "edge", command="close", partner="partner1.example", direction="in")
    assert (answer["closed"], answer["complete"]) == (1, True)
    assert (await leg.events.first(Closed)).graceful
    await world.platform.requests.count(50)
    assert world.platform.bodies() == [f"m{number}" for number in range(50)]
    streams = (await ask(world, "edge", command="streams"))["streams"]
    assert [each["direction"] for each in streams] == ["out"]
    assert (await ask(world, "edge", command="close", partner="partner1.example"))["closed"] == 1


async def test_status_health_and_metrics_tell_what_is(world: World) -> None:
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("hello"))
    await world.platform.requests.count(1)
    edge, front_end = await ask(world, "edge", command="status"), await ask(world, "frontend", command="status")
    assert edge["links"][0]["state"] == "up"
    assert edge["streams"]["in"] == 1
    assert front_end["links"][0]["state"] == front_end["sip"]["state"] == "up"
    for port in (world.edge.metrics_port, world.front_end.metrics_port):
        assert await get(port, "/healthz") == (200, (await get(port, "/healthz"))[1])
        assert (await get(port, "/etc/passwd"))[0] == 404
    _, exposition = await get(world.edge.metrics_port, "/metrics")
    assert 'xmppgw_edge_stanzas_received_total{kind="message",partner="partner1.example"} 1.0' in exposition
    await world.edge.stop()
    await eventually(lambda: not world.front_end.context.links.connected, "the front end has noticed")
    status, body = await get(world.front_end.metrics_port, "/healthz")
    assert status == 503
    assert json.loads(body)["checks"]["edges_connected"] is False
    await world.start_edge()


async def test_the_line_on_each_daemons_health_has_certificate_and_queue(world: World) -> None:
    lines = {}
    for daemon, port in (("edge", world.edge.metrics_port), ("frontend", world.front_end.metrics_port)):
        answers = [(await get(port, path))[1].encode() for path in ("/healthz", "/metrics")]
        lines[daemon] = record(daemon, "here", answers[0], answers[1], time.time())
    assert lines["edge"]["ready"] and lines["frontend"]["ready"], lines
    for line in lines.values():
        assert isinstance(line["certificate_days"], float) and line["certificate_days"] > 0, line
    assert (lines["edge"]["queue_age_seconds"], lines["frontend"]["queue_age_seconds"]) == (None, 0.0)


async def test_what_waits_for_a_partner_grows_old_in_the_line(world: World) -> None:
    world.partner1.stop_listening()
    transaction = await world.platform.send("nobody is there", to="juliet@partner1.example")
    assert await world.platform.status(transaction) == 202
    metrics = (await get(world.front_end.metrics_port, "/metrics"))[1].encode()
    age = record("frontend", "here", b"", metrics, time.time())["queue_age_seconds"]
    assert isinstance(age, float) and age > 0


async def test_unknown_commands_and_garbage_get_an_answer(world: World) -> None:
    assert (await ask(world, "edge", command="explode"))["ok"] is False
    reader, writer = await asyncio.open_unix_connection(str(world.folder / "edge.sock"))
    writer.write(b"[1]\n\xff\n")
    assert json.loads(await reader.readline())["ok"] is False
    assert json.loads(await reader.readline())["ok"] is False
    writer.close()
    assert (world.folder / "edge.sock").stat().st_mode & 0o777 == 0o600


async def test_a_reload_keeps_streams_that_keep_their_permission(world: World) -> None:
    keeps, loses = await world.partner1.authenticated(), await world.partner2.authenticated()
    await ask(world, "edge", command="connect", partner="partner2.example")
    world.partners = world.partners[:1]
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    world.front_end.reload(decode_front_end_settings(world.front_end_settings()))
    assert (await loses.events.first(Closed)).condition == "policy-violation"
    await eventually(
        lambda: all(facts.remote == "partner1.example" for facts in world.edge.context.registry.facts()),
        "only the partner that is left has streams",
    )
    keeps.send(world.partner1.message("still here"))
    await world.platform.requests.count(1)
    assert await world.platform.status(await world.platform.send("no", to="romeo@partner2.example")) == 404
    assert (await ask(world, "edge", command="connect", partner="partner2.example"))["stage"] == "policy"


async def test_a_reload_takes_a_new_certificate_for_new_streams_only(world: World) -> None:
    old = await world.partner1.authenticated()
    before = (await ask(world, "edge", command="status"))["certificate"]["fingerprint"]
    world.public.issue("edge1", [OWN, "edge1.corp.example"], client=False)
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    after = (await ask(world, "edge", command="status"))["certificate"]["fingerprint"]
    assert before != after
    await world.partner1.authenticated()
    old.send(world.partner1.message("still here"))
    await world.platform.requests.count(1)


async def test_a_reload_with_other_resolvers_reaches_partners_that_have_a_stream(tmp_path: Path) -> None:
    domain, host = "named.example", "xmpp.named.example"
    names, later = Names(), Names()
    names.zone[host, "A"] = later.zone[host, "A"] = ["127.0.0.1"]
    named: list[FakePartner] = []

    async def by_name(world: World) -> None:
        named.append(FakePartner(world, domain, policy=PeerPolicy(True, False, False)))
        await named[0].listen()
        world.more_partners = [{"domain": domain, "addresses": [{"host": host, "port": named[0].port}]}]
        world.edge_changes = {"resolver": ["127.0.0.1"], "resolver_port": await names.start()}

    async with world_of(tmp_path, by_name) as world:
        partner = named[0]
        assert await world.platform.status(await world.platform.send("before", to=f"juliet@{domain}")) == 202
        await partner.stanzas.count(1)
        world.edge_changes["resolver_port"] = await later.start()
        world.edge.reload(decode_edge_settings(world.edge_settings()))
        names.close()
        assert (await ask(world, "edge", command="close", partner=domain))["closed"] == 1
        assert later.asked == []
        assert await world.platform.status(await world.platform.send("after", to=f"juliet@{domain}")) == 202
        await partner.stanzas.count(2)
        assert partner.bodies() == ["before", "after"]
        assert (host, "A") in later.asked, "the resolver that is configured now was asked"
        partner.close()
    later.close()


async def test_a_bad_reload_changes_nothing(world: World) -> None:
    (world.folder / "edge1.crt").write_text("not a certificate")
    with pytest.raises(CertificateProblem):
        world.edge.reload(decode_edge_settings(world.edge_settings(partners=[])))
    with pytest.raises(SettingsProblem):
        world.edge.reload(decode_edge_settings(world.edge_settings(own_domains=["a b"])))
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("as before"))
    await world.platform.requests.count(1)


async def test_a_new_access_policy_holds_from_the_next_message_on(world: World) -> None:
    leg = await world.partner1.authenticated()
    world.policy = {"enable_federation_access": True, "enable_xmpp_access": False}
    world.front_end.reload(decode_front_end_settings(world.front_end_settings()))
    leg.send(world.partner1.message("hello"))
    (error,) = await world.partner1.stanzas.count(1)
    assert error.type == "error"


async def test_draining_the_edge_by_command_closes_everything_and_says_so(world: World) -> None:
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("last words"))
    assert (await ask(world, "edge", command="drain"))["complete"] is True
    assert (await leg.events.first(Closed)).graceful
    await world.platform.requests.count(1)
    assert (await ask(world, "edge", command="status"))["draining"] is True
