"""A runbook's script on a management host: copied, run with -Apply, its failure shown.

A shim stands in for Windows, CR LF included.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[3]
SHIM = """#!/bin/sh
printf '%s\\n' "$@" > "{folder}/arguments"
words="$*"
while [ $# -gt 0 ]; do [ "$1" = -File ] && cat "$2" > "{folder}/script"; shift; done
case "$words" in
    *-When*) printf '%s\\r\\n' '{said}' 'and more' ;;
    *) printf '%s\\r\\n' 'done      move alice' 'and more' ;;
esac
exit {status}
"""


@pytest.fixture
def run(tmp_path):
    """Run the action against this machine, with a `powershell.exe` that notes what it was given."""

    def act(status=0, said="seconds   90", **arguments):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "remote").mkdir(exist_ok=True)
        shim = tmp_path / "bin" / "powershell.exe"
        shim.write_text(SHIM.format(folder=tmp_path, status=status, said=said))
        shim.chmod(0o755)
        script = tmp_path / "homing-0-pilot.ps1"
        script.write_bytes(b"\xef\xbb\xbf# a script\r\n")
        play = [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": False,
                "tasks": [
                    {
                        "xmppgw.migration.platform_script": {
                            "file": str(script),
                            "directory": str(tmp_path / "remote"),
                            **arguments,
                        },
                        "register": "ran",
                    },
                    {"ansible.builtin.copy": {"content": "{{ ran | to_json }}", "dest": str(tmp_path / "ran")}},
                ],
            }
        ]
        (tmp_path / "play.yml").write_text(json.dumps(play))
        (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: {}}}\n")
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                "-i",
                str(tmp_path / "hosts.yml"),
                str(tmp_path / "play.yml"),
            ],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"),
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done, tmp_path

    return act


def test_a_script_is_copied_as_it_is_and_run_with_apply(run):
    done, folder = run(partner="partner1.example", undo=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "script").read_bytes() == b"\xef\xbb\xbf# a script\r\n"
    words = (folder / "arguments").read_text().split()
    assert words[-4:] == ["-Apply", "-Undo", "-Partner", "partner1.example"]
    assert words[words.index("-File") + 1] == str(folder / "remote" / "homing-0-pilot.ps1")
    ran = json.loads((folder / "ran").read_text())
    assert (ran["changed"], ran["said"]) == (True, "done      move alice\nand more")


def test_a_script_that_fails_stops_the_run_with_what_it_said(run):
    done, _folder = run(status=1)
    assert done.returncode != 0
    assert "migration-platform-script" in done.stdout
    assert "move alice" in done.stdout


def test_a_script_that_is_asked_changes_nothing_and_says_how_long(run):
    done, folder = run(question=True)
    assert done.returncode == 0, done.stdout + done.stderr
    words = (folder / "arguments").read_text().split()
    assert words[-1] == "-When"
    assert "-Apply" not in words
    ran = json.loads((folder / "ran").read_text())
    assert (ran["changed"], ran["seconds"]) == (False, 90)


def test_an_answer_that_is_none_is_refused(run):
    done, _folder = run(question=True, said="tomorrow")
    assert done.returncode != 0
    assert "did not say when it may run" in done.stdout


def test_without_a_folder_it_is_the_documented_one(run):
    """Ansible fills in a module's defaults, not an action's."""
    done, _ = run(directory=None)
    assert "C:/xmppgw/homing-0-pilot.ps1" in done.stdout + done.stderr
