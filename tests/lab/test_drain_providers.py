"""How partners leave a legacy gateway that is not the lab's: by themselves (`wait`), or when its proxy restarts.

In the order of this file, on one lab. Where `powershell` would run its script on a Windows Edge Server, a stand-in for
powershell.exe on legacy1 restarts the lab's gateway: the order of things is tested here, not the script.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, a_walk, assert_nothing_lost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
STATIC, FIRST = "static.example", "partner1.example"
PHASES = "/var/lib/xmppgw-edge/phases.json"
STAND_IN = """#!/bin/sh
echo "$*" >> /root/powershell.log
case "$*" in
    *-When*) printf 'seconds   0\\r\\n' ;;
    *-Apply*) systemctl restart prosody && printf 'done      restart\\r\\n' ;;
esac
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("document") / "federation.yml"
    write(found, {"provider": "wait"})
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, path: Path) -> Iterator[Walk]:
    with a_walk(tmp_path_factory, "drainlab", XMPPGW_LAB_DOCUMENT=str(path)) as walk:
        yield walk


def write(path: Path, drain: dict) -> None:
    content = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    content["federation"]["drain"] = drain
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def partners(walk: Walk) -> dict[str, dict]:
    done = walk.playbook("status.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((walk.output / "status.json").read_text(encoding="utf-8"))["partners"]
    return {partner["domain"]: partner for partner in found}


def journal(walk: Walk) -> list[str]:
    lines = walk.lab.run("fe1", "cat", "/var/lib/xmppgw-migration/journal.jsonl").splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_with_wait_nobodys_stream_is_closed_and_who_connects_again_is_switched(lab: Walk) -> None:
    """Only one partner is switched; its server connects anew, here because somebody closes its streams meanwhile."""
    held = " && ".join(
        shlex.join(lab.command("partner.yml", "do=hold", f"partner={item['domain']}"))
        for item in yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))["federation"]["partners"]
        if item["domain"] != FIRST
    )
    enter = f"cd {ROOT / 'pulumi'} && {ROOT / '.venv/bin/python'} -m lab_provider.enter"
    close = f's2s:close("{FIRST}", "corp.example")'
    script = f"""
        {held} || exit 8
        {shlex.join(lab.command("migrate.yml"))} & run=$!
        until {enter} edge1 grep -q gateway {PHASES} 2>/dev/null; do
            kill -0 $run || exit 9
            sleep 0.2
        done
        ({enter} legacy1 prosodyctl shell {shlex.quote(close)})
        wait $run
    """
    done, report = lab.probed("bash", "-c", script)
    assert_nothing_lost(report)
    found = partners(lab)
    assert found[FIRST]["state"] == "gateway", done.stdout[-6000:]
    assert found[FIRST]["route"] == ["target"]
    assert all(item["route"] == ["legacy"] for domain, item in found.items() if domain != FIRST)


def test_the_proxy_is_restarted_once_for_all_that_are_switched(lab: Walk, path: Path) -> None:
    write(path, {"provider": "powershell", "quiet_minute": "02:00"})
    lab.lab.run("legacy1", "mkdir", "-p", "/root/C:/xmppgw")
    lab.lab.put("legacy1", "/usr/bin/powershell.exe", STAND_IN)
    lab.lab.run("legacy1", "chmod", "755", "/usr/bin/powershell.exe")
    done = lab.playbook("partner.yml", "do=switch", "group=all")
    assert done.returncode == 0, done.stdout[-6000:]
    found = partners(lab)
    assert {domain for domain, item in found.items() if item["state"] == "gateway"} == set(found) - {STATIC}
    said = lab.lab.run("legacy1", "cat", "/root/powershell.log").splitlines()
    assert [line.split()[-1] for line in said] == ["-When", "-Apply"]
    events = journal(lab)
    assert events.count("proxy_restarted") == 1
    assert events.index("proxy_restart_announced") < events.index("proxy_restarted")
    script = lab.lab.run("legacy1", "cat", "/root/C:/xmppgw/drain.ps1")
    assert "Restart-Service" in script
