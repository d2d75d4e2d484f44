"""The lab stack on both engines: what `up` makes, what it leaves alone, what it repairs, and that nothing stays behind.

The tests of one engine share a lab; each begins with an `up` of the configuration that it needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
import dns.rrset
import dns.tsig
import dns.update
import pytest

from lab_provider import machines, namespace
from lab_provider.down import remove_everything

from .stack import HOSTS, Stack

pytestmark = pytest.mark.infra

SRV = "_xmpp-server._tcp.corp.example."


@pytest.fixture
def lab(stack: Stack) -> Stack:
    """The whole small lab, up."""
    stack.hosts, stack.federation = list(HOSTS), lambda text: text
    stack.up()
    return stack


def _served(stack: Stack, name: str, kind: str) -> set[str]:
    question = dns.message.make_query(name, kind)
    answer = namespace.call(stack.places.namespace, lambda: dns.query.udp(question, "203.0.113.53", timeout=60))
    owner = dns.name.from_text(name)
    found = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, dns.rdatatype.from_text(kind))
    return {str(item) for item in found} if found is not None else set()


def test_hosts_answer_by_ssh_through_the_firewall_with_pinned_keys(lab: Stack) -> None:
    assert lab.running() == set(HOSTS)
    assert {host: lab.ssh(host, "hostname") for host in HOSTS} == {host: host for host in HOSTS}
    assert lab.ssh("edge1", "systemctl", "is-system-running") == "running"


def test_names_resolve_on_every_host(lab: Stack) -> None:
    assert "198.51.100.10" in lab.ssh("edge1", "getent", "ahostsv4", "edge1.corp.example")


@pytest.mark.parametrize(("to", "first"), [("203.0.113.1", "203.0.113.53"), ("2001:db8:1::1", "2001:db8:1::53")])
def test_a_host_speaks_from_the_first_of_its_addresses(lab: Stack, to: str, first: str) -> None:
    """A server that binds nothing would else use whichever came last: that of a partner who is away, for one."""
    [route] = json.loads(machines.run_on(lab.places, "dns1", ["ip", "-json", "route", "get", to]))
    assert route["prefsrc"] == first


def test_a_second_up_changes_nothing(lab: Stack) -> None:
    outcome = lab.up()
    assert set(outcome.counts) == {"same"}, outcome.text


def test_the_firewall_drops_what_no_rule_names(lab: Stack) -> None:
    """dns1 listens on 53 for everyone; its SSH is for the operator's network only."""
    probe = "exec 3<>/dev/tcp/203.0.113.53/{port} && echo open"
    assert lab.ssh("edge1", "timeout", "3", "bash", "-c", f"'{probe.format(port=53)}'") == "open"
    closed = lab.ssh("edge1", f"timeout 2 bash -c '{probe.format(port=22)}' 2>/dev/null || echo closed")
    assert closed == "closed"


def test_no_way_out(lab: Stack) -> None:
    """No interface of the lab's namespaces is anything but a bridge, a veth or loopback, and no route leaves it."""
    for name in [lab.places.namespace, *(lab.places.host_namespace(host) for host in HOSTS)]:
        assert "eth0" not in namespace.links(name)
    assert lab.ssh("edge1", "ping -c 1 -W 1 192.0.2.1 >/dev/null 2>&1 || echo unreachable") == "unreachable"


def test_a_changed_rule_is_one_update(lab: Stack) -> None:
    lab.federation = lambda text: text.replace("port: 5061", "port: 5062")
    outcome = lab.up()
    # The rule set, and the description of the environment that lists the ports.
    assert outcome["update"] == 2 and outcome["create"] == outcome["delete"] == outcome["replace"] == 0, outcome.text
    assert "5062" in machines.run_on(lab.places, "fw1", ["nft", "list", "chain", "inet", "filter", "forward"])


def test_a_removed_host_is_one_delete(lab: Stack) -> None:
    lab.hosts.remove("edge1")
    outcome = lab.up()
    assert outcome["delete"] == 1 and outcome["create"] == outcome["replace"] == 0, outcome.text
    assert lab.running() == set(HOSTS) - {"edge1"}
    assert not lab.places.host("edge1").exists()


def test_the_service_record_is_left_to_the_migration(lab: Stack) -> None:
    assert _served(lab, SRV, "SRV") == {"10 10 5269 legacy1.corp.example."}
    secret = json.loads((lab.places.lab / "secrets.json").read_text())["tsig/lab-update"]
    update = dns.update.UpdateMessage("corp.example", keyring=dns.tsig.Key("lab-update", secret, "hmac-sha256"))
    update.replace(dns.name.from_text(SRV), 3, "SRV", "10 10 5269 edge1.corp.example.")
    namespace.call(lab.places.namespace, lambda: dns.query.tcp(update, "203.0.113.53", timeout=60))
    outcome = lab.up()
    assert set(outcome.counts) == {"same"}, outcome.text
    assert _served(lab, SRV, "SRV") == {"10 10 5269 edge1.corp.example."}


def test_no_secret_is_in_state_or_outputs(lab: Stack) -> None:
    secrets = [*json.loads((lab.places.lab / "secrets.json").read_text()).values()]
    keys = [
        *lab.places.lab.glob("ca/*/key.pem"),
        *lab.places.lab.glob("certs/*.key"),
        lab.places.lab / "ssh/id_ed25519",
    ]
    secrets += [path.read_text().splitlines()[2] for path in keys]
    states = [path for path in [*lab.places.lab.glob("state/*.json"), *lab.work.rglob("*.json")] if path.is_file()]
    texts = [path.read_text() for path in [*states, lab.places.lab / "outputs.json"]]
    assert len(texts) >= 2 and len(secrets) >= 4
    assert not [secret for secret in secrets for text in texts if secret in text]
    for path in [*keys, lab.places.lab / "secrets.json"]:
        assert path.stat().st_mode & 0o077 == 0, f"{path} is readable by others"


def test_a_power_cut_is_repaired_without_losing_a_disk(lab: Stack) -> None:
    lab.ssh("edge1", "touch /var/lib/was-here && sync")
    key = lab.outputs()["hosts"]["edge1"]["host_key"]  # type: ignore[index]
    machines.pull_the_plug(lab.places, "edge1")
    outcome = lab.up()
    assert outcome["update"] == 1 and outcome["create"] == 0, outcome.text
    assert lab.ssh("edge1", "ls", "/var/lib/was-here") == "/var/lib/was-here"
    assert lab.outputs()["hosts"]["edge1"]["host_key"] == key  # type: ignore[index]


def test_a_reboot_of_the_machine_is_repaired(lab: Stack) -> None:
    """What a reboot takes: every process and every namespace. What it leaves: the disks."""
    for host in HOSTS:
        machines.pull_the_plug(lab.places, host)
        namespace.delete(lab.places.host_namespace(host))
    namespace.delete(lab.places.namespace)
    outcome = lab.up()
    assert outcome["create"] == 1 and outcome["update"] == len(HOSTS), outcome.text
    assert {host: lab.ssh(host, "hostname") for host in HOSTS} == {host: host for host in HOSTS}
    assert _served(lab, "edge1.corp.example.", "A") == {"198.51.100.10"}


def test_a_host_whose_disk_is_gone_is_made_anew(lab: Stack) -> None:
    machines.delete(lab.places, "dns1")
    lab.up()
    assert _served(lab, "edge1.corp.example.", "A") == {"198.51.100.10"}
    assert set(lab.up().counts) == {"same"}


@pytest.mark.parametrize("moment", ["first disk", "first boot", "rules"])
def test_a_killed_up_is_repaired_by_the_next(stack: Stack, moment: str) -> None:
    stack.hosts, stack.federation = list(HOSTS), lambda text: text
    stack.run("destroy")
    disks, logs = stack.places.host("dns2"), stack.places.host("fw1")
    moments = {
        "first disk": (disks / "upper").exists,
        "first boot": lambda: machines.running(stack.places, "dns2") is not None,
        "rules": (logs / "upper/etc/nftables.d/lab.nft").exists,
    }
    assert stack.kill_up_when(moments[moment]), "the run ended before it could be killed"
    stack.up()
    assert {host: stack.ssh(host, "hostname") for host in HOSTS} == {host: host for host in HOSTS}
    assert _served(stack, "edge1.corp.example.", "A") == {"198.51.100.10"}
    assert set(stack.up().counts) == {"same"}


def test_a_killed_up_can_be_destroyed(stack: Stack) -> None:
    stack.hosts = list(HOSTS)
    stack.run("destroy")
    assert stack.kill_up_when(lambda: machines.running(stack.places, "dns2") is not None)
    assert stack.run("destroy").status == 0
    if stack.engine == "standalone":
        assert stack.traces() == []
    # The real engine forgets a creation that it did not see end; lab-down does not ask any engine.
    assert remove_everything(stack.places) == []
    assert stack.traces() == []


def test_destroy_leaves_nothing(lab: Stack) -> None:
    assert lab.traces() != []
    outcome = lab.run("destroy")
    assert outcome.status == 0, outcome.text
    assert lab.traces() == []
    assert sorted(path.name for path in (lab.places.lab / "hosts").glob("*")) == []


def test_the_emergency_exit_needs_no_state(lab: Stack) -> None:
    for path in [*lab.places.lab.glob("state/*"), *lab.work.glob("backend")]:
        path.rename(path.with_name(path.name + ".lost"))
    half_dead = machines.running(lab.places, "dns2")
    assert half_dead is not None
    os.kill(half_dead, signal.SIGKILL)
    assert remove_everything(lab.places) == []
    assert lab.traces() == []
    assert not Path(lab.places.lab).exists()


def test_the_real_engine_takes_over_the_standalone_state(stack: Stack) -> None:
    """`pulumi stack import` of our file, and then nothing is left to do."""
    if stack.engine != "pulumi":
        pytest.skip("needs the real engine; the pulumi run of this test is the one that counts")
    stack.hosts, stack.federation = list(HOSTS), lambda text: text
    stack.run("destroy")
    stack.engine = "standalone"
    try:
        stack.up()
    finally:
        stack.engine = "pulumi"
    stack.prepare()
    command = ["pulumi", "--cwd", str(stack.work / "config"), "stack", "import", "--stack", "lab", "--non-interactive"]
    state = stack.places.lab / "state" / "lab.json"
    subprocess.run([*command, "--file", str(state)], env=stack.environment(), check=True, capture_output=True)
    outcome = stack.up()
    assert set(outcome.counts) == {"same"}, outcome.text
