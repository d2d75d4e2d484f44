"""The probe around a command: people chat before it starts, are stopped whatever becomes of it, and a report follows.

The lab is of paper (lab_of_paper.py); its clock leaps, so nobody waits for quiet.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

import pytest
from tests.unit.probe.lab_of_paper import Paper

from xmppgw.probe import looking, runner
from xmppgw.probe.observations import Observation

DOCUMENT = Path(__file__).parents[3] / "inventories/lab/group_vars/all/federation.yml"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not there at once will not come; looking has tests of its own."""
    monkeypatch.setattr(runner, "SETTLE_WAIT_S", 0.0)
    monkeypatch.setattr(looking, "look", lambda *_: (Observation((), (), ()), []))


def around(paper: Paper, script: str = "pass", *, command: tuple[str, ...] = ()) -> int:
    """Run a little program under the probe; its exit status."""
    words = command or (sys.executable, "-IS", "-c", script)
    options = runner.Options(
        command=words,
        output=paper.folder / "out",
        lab=paper.folder / ".lab",
        document=DOCUMENT,
        limit=50,
        seconds=60.0,
        patience=0.0,
    )
    return runner.around(options)


def report(paper: Paper) -> dict:
    found: dict = json.loads((paper.folder / "out" / "report.json").read_text(encoding="utf-8"))
    return found


def test_a_command_that_goes_well_and_loses_nothing(paper: Paper, capsys: pytest.CaptureFixture[str]) -> None:
    marker = paper.folder / "ran"
    steps = "import os; print(os.environ['XMPPGW_STEPS_FILE'])"
    assert around(paper, f"open({str(marker)!r}, 'w').write('x'); {steps}") == 0
    assert marker.exists()
    assert paper.orders() == ["start", "stop"]
    found = report(paper)["probe"]
    assert (found["sent"], found["delivered"], found["lost"]) == (2, 2, 0)
    assert "everybody gets through" in capsys.readouterr().out
    assert {path.name for path in (paper.folder / "out").iterdir()} >= {"report.html", "report.md", "evidence"}


def test_people_chat_before_the_command_starts_and_until_after_it(paper: Paper) -> None:
    calls = paper.folder / "calls.jsonl"
    assert around(paper, f'open({str(calls)!r}, \'a\').write(\'{{"host": "", "command": "THE COMMAND"}}\\n\')') == 0
    asked = [str(call["command"]) for call in paper.calls()]
    here = asked.index("THE COMMAND")
    assert any('"start"' in text for text in asked[:here])
    assert any('"stop"' in text for text in asked[here:])
    assert not any('"stop"' in text for text in asked[:here])


def test_a_command_that_fails_keeps_its_status_and_gets_its_report(paper: Paper) -> None:
    assert around(paper, "raise SystemExit(7)") == 7
    assert paper.orders() == ["start", "stop"]
    assert report(paper)["probe"]["lost"] == 0


def test_a_command_that_went_well_and_lost_something(paper: Paper) -> None:
    paper.people(arrived=("sip_to_xmpp",))
    assert around(paper) == runner.EXIT_NOT_CLEAN
    found = report(paper)["probe"]
    assert (found["sent"], found["delivered"]) == (2, 1)


def test_a_command_that_was_killed_says_by_which_signal(paper: Paper) -> None:
    assert around(paper, "import os; os.kill(os.getpid(), 9)") == 128 + 9
    assert paper.orders() == ["start", "stop"]


def test_a_command_that_is_none(paper: Paper) -> None:
    assert around(paper, command=("/no/such/program",)) == 127
    assert paper.orders() == ["start", "stop"]


def test_where_nobody_gets_through_the_command_is_not_run(paper: Paper, capsys: pytest.CaptureFixture[str]) -> None:
    paper.people(received=0)
    marker = paper.folder / "ran"
    assert around(paper, f"open({str(marker)!r}, 'w')") == runner.EXIT_PROBE_FAILED
    assert not marker.exists()
    assert paper.orders() == ["start", "stop"]
    said = capsys.readouterr().out
    assert "not logged in: juliet" in said
    assert "alice/juliet sip_to_xmpp" in said


def test_an_agent_that_is_gone_at_the_end_is_a_trouble_of_the_report(paper: Paper) -> None:
    assert around(paper, f"import os; os.remove({str(paper.folder / 'people.json')!r})") == runner.EXIT_NOT_CLEAN
    said = json.dumps(report(paper))
    assert "The senders could not be stopped" in said
    assert "their agent was restarted" in said


def test_traffic_that_does_not_come_to_rest_is_said(paper: Paper) -> None:
    away = {"id": "s-0", "address": "198.51.100.5", "t": 0.0, "from": "alice@corp.example"}
    paper.says({"host": "partner1", "says": "through-log", "out": json.dumps(away) + "\n"})
    assert around(paper) == runner.EXIT_NOT_CLEAN
    assert "Still moving at the end: alice/juliet sip_to_xmpp: nothing arrives" in json.dumps(report(paper))


def test_only_one_probe_works_in_a_folder(paper: Paper, capsys: pytest.CaptureFixture[str]) -> None:
    (paper.folder / "out").mkdir()
    with (paper.folder / "out" / ".probe.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert around(paper) == runner.EXIT_PROBE_FAILED
    assert "another probe is at work" in capsys.readouterr().out
    assert paper.orders() == []


def test_an_earlier_report_is_kept_under_its_time(paper: Paper) -> None:
    output = paper.folder / "out"
    (output / "evidence").mkdir(parents=True)
    (output / "report.json").write_text("former")
    os.utime(output / "report.json", (1_795_230_000, 1_795_230_000))
    assert around(paper) == 0
    (kept,) = (output / "history").iterdir()
    assert kept.name == "20261121T030000Z"
    assert (kept / "report.json").read_text() == "former"
    assert report(paper)["probe"]["delivered"] == 2


def test_without_a_lab_nothing_is_run(paper: Paper, capsys: pytest.CaptureFixture[str]) -> None:
    (paper.folder / ".lab" / "outputs.json").unlink()
    assert around(paper) == runner.EXIT_PROBE_FAILED
    assert "make lab-up" in capsys.readouterr().out
    assert paper.calls() == []
