"""The state moves to the real engine and back: `pulumi stack import` and `export`, with a real program and plug-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from standalone import run

from .test_program import Desk

SKIP = None if shutil.which("pulumi") else "the pulumi command is not on PATH: nothing to move the state to"
pytestmark = pytest.mark.skipif(SKIP is not None, reason=SKIP or "")

PROGRAM = """
first = File("first", "hello", pulumi.ResourceOptions(protect=True))
second = File("second", pulumi.Output.secret("swordfish"), pulumi.ResourceOptions(depends_on=[first]))
pulumi.export("path", first.path)
pulumi.export("secret", second.path.apply(lambda path: path))
"""


class Real:
    """The real engine over the same project."""

    def __init__(self, desk: Desk, directory: Path) -> None:
        self.desk = desk
        (directory / "backend").mkdir()
        self.environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{directory / 'backend'}",
            "PULUMI_HOME": str(directory / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        # The project's own environment is this one; only its interpreter is named.
        text = (desk.where.program / "Pulumi.yaml").read_text()
        toolchain = f"runtime: {{name: python, options: {{virtualenv: {Path(sys.executable).parents[1]}}}}}"
        (desk.where.program / "Pulumi.yaml").write_text(text.replace("runtime: python", toolchain))
        manifest = desk.where.program / "plugin" / "PulumiPlugin.yaml"
        manifest.write_text(f"{toolchain}\n")
        self("stack", "init", "dev", "--secrets-provider", "passphrase")

    def __call__(self, *words: str) -> str:
        command = ["pulumi", "--cwd", str(self.desk.where.program), *words, "--non-interactive"]
        if words[0] != "stack" or words[1] != "init":
            command += ["--stack", "dev"]
        done = subprocess.run(command, env=self.environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def changes(self) -> dict[str, int]:
        summary = json.loads(self("preview", "--json"))["changeSummary"]
        assert isinstance(summary, dict)
        return summary


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    monkeypatch.setenv("TEST_STORE", str(made.store))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "passphrase")
    made.program(PROGRAM)
    return made


def test_the_state_goes_to_the_real_engine_and_back_and_nothing_is_left_to_do(desk: Desk, tmp_path: Path) -> None:
    made = desk.up()
    assert made.errors == ()
    ours = desk.where.state / "dev.json"
    real = Real(desk, tmp_path)
    real("stack", "import", "--file", str(ours))
    assert real.changes() == {"same": 3}
    real("up", "--yes", "--skip-preview")
    outputs = json.loads(real("stack", "output", "--json", "--show-secrets"))
    assert outputs == run.outputs(desk.where, show_secrets=True)
    ours.unlink()
    real("stack", "export", "--file", str(ours))
    assert "swordfish" not in ours.read_text()
    back = desk.up()
    assert (back.errors, back.summary) == ((), {"same": 3})
    assert run.outputs(desk.where, show_secrets=True) == outputs
    assert desk.files() == {"first": "hello", "second": "swordfish"}


def test_what_the_real_engine_made_is_taken_over(desk: Desk, tmp_path: Path) -> None:
    real = Real(desk, tmp_path)
    real("up", "--yes", "--skip-preview")
    desk.where.state.mkdir()
    real("stack", "export", "--file", str(desk.where.state / "dev.json"))
    assert desk.up().summary == {"same": 3}
    assert any("protected" in error for error in run.destroy(desk.where).errors), "protection moves, too"
    assert desk.files() == {"first": "hello", "second": "swordfish"}
