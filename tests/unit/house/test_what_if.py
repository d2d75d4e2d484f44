"""docs/what-if.md: enough cases, and every code that it names exists; for what is typed see test_documentation.py."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/what-if.md").read_text()
CODES = set(re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs/codes.md").read_text(), re.MULTILINE))
SPOKEN = re.findall(r"`([^`]+)`", PAGE)


def test_there_are_thirty_cases_or_more() -> None:
    cases = re.findall(r"^### … (.+)\?$", PAGE, re.MULTILINE)
    assert len(cases) == len(set(cases)) >= 30


def test_every_code_is_documented() -> None:
    named = {
        word
        for word in SPOKEN
        if re.match(r"(migration|certificate|export|users|partner|issuer|preset|dns)-[a-z0-9-]+$", word)
    }
    assert len(named) > 20
    assert named <= CODES, sorted(named - CODES)
