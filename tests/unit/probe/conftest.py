"""A lab of paper for whoever asks for one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.probe.lab_of_paper import Paper


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    made = Paper(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return made
