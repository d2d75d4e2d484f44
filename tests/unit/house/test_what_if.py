"""docs/what-if.md: enough cases, and every code, playbook, variable and verb that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from xmppgw.cli import program

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
        if re.match(r"(migration|certificate|users|partner|issuer|preset|dns)-[a-z0-9-]+$", word)
    }
    assert len(named) > 20
    assert named <= CODES, sorted(named - CODES)


def test_every_playbook_exists_and_takes_what_is_given_to_it() -> None:
    playbooks = {word.split()[0] for word in SPOKEN if re.match(r"[a-z_]+\.yml( |$)", word)}
    assert len(playbooks) > 8
    assert [name for name in sorted(playbooks) if not (ROOT / "playbooks" / name).exists()] == []
    sources = "\n".join(
        path.read_text()
        for folder in ("playbooks", "roles")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".yml", ".py")
    )
    variables = {name for word in SPOKEN for name in re.findall(r"-e ([a-z_]+)=", word)}
    assert len(variables) > 8
    assert [name for name in sorted(variables) if not re.search(rf"\b{name}\b", sources)] == []


def test_every_verb_exists() -> None:
    verbs = {word.split()[1] for word in SPOKEN if word.startswith("xmppgw ")}
    printed = program._parser().format_help()
    assert verbs
    assert [verb for verb in sorted(verbs) if not re.search(rf"^    {verb}\b", printed, re.MULTILINE)] == []
