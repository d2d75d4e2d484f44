"""Whatever a page quotes to be typed exists: playbooks, make's targets, verbs and options, `-e` variables."""

from __future__ import annotations

import contextlib
import io
import re
from functools import cache
from pathlib import Path

import pytest

from xmppgw.cli import program

ROOT = Path(__file__).resolve().parents[3]
OURS = ("README", "CONTRIBUTING", "CHANGELOG")
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / f"{name}.md" for name in OURS)]
PLAYBOOKS = {path.name for path in (ROOT / "playbooks").glob("*.yml")}
#: Files that pages speak of and that are no playbooks.
OTHER_FILES = {"federation.yml", "small.yml", "argument_specs.yml", "main.yml"}


def spoken(page: Path) -> list[str]:
    """The code on a page: inline, and line by line in fenced blocks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [*inline, *(line for block in fenced for line in block.splitlines())]


@cache
def playbook_sources() -> str:
    return "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("playbooks", "roles", "inventories")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".yml", ".py")
    )


@cache
def handles() -> tuple[set[str], set[str]]:
    """Make's targets and the variables that they take."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)), set(re.findall(r"\$\(([A-Z]+)\)", text))


@cache
def help_of(*words: str) -> str:
    """What `xmppgw WORDS --help` prints; empty where there is no such verb."""
    printed, nobody = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(nobody), contextlib.suppress(SystemExit):
        program.main([*words, "--help"])
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_playbook_exists(page: Path) -> None:
    named = {
        word
        for code in spoken(page)
        for word in re.findall(r"(?:^|playbooks/|[\s(])([a-z_]+\.yml)\b", code)
        if not re.search(r"(steps|roles|tasks|inventories|meta|group_vars)/", code)
    }
    assert named - OTHER_FILES <= PLAYBOOKS, sorted(named - OTHER_FILES - PLAYBOOKS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_of_a_playbook_is_read_somewhere(page: Path) -> None:
    named = {name for code in spoken(page) for name in re.findall(r"-e [\"']?([a-z_]+)=", code)}
    assert not [name for name in sorted(named) if not re.search(rf"\b{name}\b", playbook_sources())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_and_its_variables_exist(page: Path) -> None:
    targets, variables = handles()
    for code in spoken(page):
        for target, rest in re.findall(r"(?:^|[$&;] ?|\brun )make ([a-z-]+)((?: [A-Z]+=\S+)*)", code):
            assert target in targets, code
            assert set(re.findall(r"([A-Z]+)=", rest)) <= variables, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_and_its_options_exist(page: Path) -> None:
    for code in spoken(page):
        for verb, second, rest in re.findall(r"(?:^|/|\$ )xmppgw ([a-z][a-z-]*)(?: ([a-z]+))?([^|;#&`]*)", code):
            assert help_of(verb), f"there is no verb {verb}: {code}"
            parts = (verb, second) if second and verb in ("policy", "user", "partner", "probe") else (verb,)
            within = help_of(*parts)
            assert within, code
            for option in re.findall(r"(?<![\w-])--[a-z-]+", rest.partition(" -- ")[0]):
                assert option in within, f"{option} in: {code}"


def test_every_playbook_has_its_row() -> None:
    text = (ROOT / "docs/playbooks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_]+\.yml)` \|", text, re.MULTILINE)) == PLAYBOOKS
