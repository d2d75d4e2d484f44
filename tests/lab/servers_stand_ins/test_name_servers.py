"""dns1 and dns2: updates by TSIG, transfer, what a restart brings back, what the resolver says and forgets."""

from __future__ import annotations

import pytest
from tests.lab.servers_stand_ins.stand_ins import Lab, eventually

from xmpp_infra.lab.servers import LAB

pytestmark = pytest.mark.lab

PRIMARY, SECONDARY = (address.ipv4 for address in LAB.name_servers.values())
RESOLVER = LAB.resolver.ipv4


def answer(lab: Lab, server: str, name: str, kind: str) -> str:
    return lab.run("dns2", "kdig", f"@{server}", name, kind, "+short").strip()


def status(lab: Lab, server: str, name: str, kind: str = "A") -> str:
    output = lab.run("dns2", "kdig", f"@{server}", name, kind)
    return output.partition("status: ")[2].partition(";")[0]


def update(lab: Lab, line: str, key: str = "lab-update", secret: str = "") -> str:
    """What knsupdate says to one update of the organisation's zone; empty when it was done."""
    secret = secret or lab.secrets["tsig/lab-update"]
    orders = f"server {PRIMARY}\nzone {LAB.sip_domain}.\n{line}\nsend\n"
    lab.put("dns2", "/root/orders", orders)
    return lab.run("dns2", "sh", "-c", f"knsupdate -y hmac-sha256:{key}:{secret} /root/orders 2>&1; true")


def test_an_update_reaches_the_secondary_and_the_resolver_and_survives_a_restart(lab: Lab) -> None:
    name = "kept.corp.example"
    assert update(lab, f"update add {name}. 15 A 198.51.100.33") == ""
    assert answer(lab, PRIMARY, name, "A") == "198.51.100.33"
    eventually("the secondary has it", lambda: answer(lab, SECONDARY, name, "A") == "198.51.100.33")
    eventually("the resolver has it", lambda: answer(lab, RESOLVER, name, "A") == "198.51.100.33")
    for signal in ("TERM", "KILL"):
        before = lab.run("dns1", "systemctl", "show", "-P", "MainPID", "knot")
        lab.run("dns1", "systemctl", "kill", f"--signal={signal}", "knot")
        lab.run("dns1", "systemctl", "start", "knot")
        assert lab.run("dns1", "systemctl", "show", "-P", "MainPID", "knot") != before
        assert answer(lab, PRIMARY, name, "A") == "198.51.100.33", f"gone after SIG{signal}"


def test_an_update_without_the_right_key_changes_nothing(lab: Lab) -> None:
    line = "update add forged.corp.example. 15 A 198.51.100.33"
    wrong = "A" * 43 + "="
    assert "BADSIG" in update(lab, line, secret=wrong)
    assert "BADKEY" in update(lab, line, key="lab-transfer", secret=lab.secrets["tsig/lab-transfer"])
    assert status(lab, PRIMARY, "forged.corp.example") == "NXDOMAIN"


def test_a_zone_is_not_given_to_whoever_asks(lab: Lab) -> None:
    assert "NOTAUTH" in lab.run("dns2", "sh", "-c", f"kdig @{PRIMARY} corp.example AXFR 2>&1; true")


def test_the_resolver_forgets_a_missing_name_within_the_negative_ttl(lab: Lab) -> None:
    name = "late.corp.example"
    assert status(lab, RESOLVER, name) == "NXDOMAIN"
    assert update(lab, f"update add {name}. 15 A 198.51.100.34") == ""
    eventually("the name is seen", lambda: answer(lab, RESOLVER, name, "A") == "198.51.100.34")


def test_a_changed_record_is_seen_when_its_ttl_is_over(lab: Lab) -> None:
    name = "moved.corp.example"
    assert update(lab, f"update add {name}. 3 A 198.51.100.35") == ""
    # It may have asked the secondary a moment too early.
    eventually("the first address is seen", lambda: answer(lab, RESOLVER, name, "A") == "198.51.100.35")
    assert update(lab, f"update delete {name}. A\nupdate add {name}. 3 A 198.51.100.36") == ""
    eventually("the new address is seen", lambda: answer(lab, RESOLVER, name, "A") == "198.51.100.36")


@pytest.mark.parametrize("name", ["www.example.org", "nothing.example"])
def test_there_is_nothing_outside_the_lab(lab: Lab, name: str) -> None:
    assert status(lab, RESOLVER, name) == "NXDOMAIN"
