"""What a person sees of a run: a banner for each step, what changed, waits with a countdown, one screen at the end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[3]
ACTION = {"id": "1/file/fe1", "step": 1, "what": "write frontend.json on fe1", "before": None, "after": "a"}
RUN = {
    "held": None,
    "pending": ["1", "5"],
    "undo": {"6": True},
    "back": {"6": []},
    "plan": {"steps": [{"number": 1, "actions": [ACTION]}]},
}


def step(number, name, *tasks, undo=False):
    first = {"name": "Say what this step does", "xmppgw.migration.step": {"number": number, "undo": undo}}
    title = f"({number}/6) {'Take back: ' if undo else ''}{name}"
    return {"name": title, "hosts": "localhost", "gather_facts": False, "tasks": [first, *tasks]}


def waiting(seconds):
    until = f"{{{{ now(utc=true).timestamp() + {seconds} }}}}"
    return {"xmppgw.migration.wait": {"step": 5, "reason": "resolvers forget the old RRset", "until": until}}


CHANGES = {"name": "Change something", "ansible.builtin.command": "true", "changed_when": True}
FAILS = {"name": "Break", "ansible.builtin.fail": {"msg": "[migration-port-taken] 5269 is taken\n    now:   free it"}}


@pytest.fixture
def run(tmp_path):
    """Run plays under the callback, as a pipeline does: without a terminal. (exit status, lines, events)."""

    def act(*plays, check=False):
        facts = {"name": "Set the scene", "ansible.builtin.set_fact": {"migration": RUN}}
        scene = {"name": "Scene", "hosts": "localhost", "gather_facts": False, "tasks": [facts]}
        (tmp_path / "play.yml").write_text(json.dumps([scene, *plays]))
        (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
        program = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(tmp_path / "hosts.yml")]
        done = subprocess.run(
            [*program, str(tmp_path / "play.yml"), *(["--check"] if check else [])],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"),
                "XMPPGW_STEPS_FILE": str(tmp_path / "steps.jsonl"),
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        events = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
        return done.returncode, done.stdout.splitlines(), [item for item in events if item["event"] != "task_started"]

    return act


def test_a_run_is_its_steps_with_what_changed_and_one_screen_at_the_end(run):
    status, lines, events = run(step(1, "Deploy the pool", CHANGES), step(2, "Deploy the edge", CHANGES))
    assert status == 0, lines
    assert not any("\x1b" in line for line in lines), "colours belong on a terminal"
    said = [line.strip() for line in lines if line.strip()]
    assert said[:2] == ["(1/6) Deploy the pool", "changed on localhost: Change something"]
    assert not any("Deploy the edge" in line and line.startswith("(2/6)") for line in lines), "it is not pending"
    assert re.fullmatch(r"step +changed +time +waited", said[-3])
    assert re.fullmatch(r"\(1/6\) Deploy the pool +1 +\d\.\d s +0\.0 s", said[-2])
    assert re.match(r"done; changed=2; \d+\.\d s of work, 0\.0 s of waiting", said[-1])
    names = [(item["event"], item.get("number")) for item in events]
    assert names == [("run_started", None), ("step_started", 1), ("step_finished", 1), ("run_finished", None)]


def test_a_wait_counts_down_with_its_reason_and_is_told_apart_from_work(run):
    status, lines, events = run(step(5, "Enable XMPP federation", waiting(3)))
    assert status == 0, lines
    assert any(re.match(r" +waiting +[1-3] s more: resolvers forget the old RRset$", line) for line in lines), lines
    [begun, ended] = [item for item in events if item["event"].startswith("wait_")]
    assert (begun["reason"], begun["number"]) == ("resolvers forget the old RRset", 5)
    assert ended["waited_s"] > 0
    assert re.search(rf"{ended['waited_s']:.1f} s of waiting", lines[-1]), lines[-1]


def test_a_failure_is_a_sentence_and_what_to_do_and_closes_its_step(run):
    status, lines, events = run(step(6, "Update DNS", FAILS, undo=True))
    assert status == 2
    said = "\n".join(lines)
    assert "(6/6) Take back: Update DNS" in said
    assert "  FAILED on localhost: Break\n    [migration-port-taken] 5269 is taken\n        now:   free it" in said
    assert "Traceback" not in said
    assert lines[-1].strip().startswith("failed: [migration-port-taken] 5269 is taken; changed=0")
    [failed] = [item for item in events if item["event"] == "step_failed"]
    assert (failed["number"], failed["reason"]) == (6, "[migration-port-taken] 5269 is taken")


def test_check_mode_shows_what_a_step_would_do(run):
    status, lines, events = run(step(1, "Deploy the pool"), check=True)
    assert status == 0, lines
    assert "  write frontend.json on fe1" in lines
    assert events[-1]["changed"] == 1
