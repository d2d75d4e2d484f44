"""House rules that a machine can check: heads of files, nothing of one machine in the tree, handles, documentation."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = ("gateway/xmppgw", "pulumi", "playbooks", "roles")


def tracked() -> list[Path]:
    """Files under version control, and new ones that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_every_module_opens_with_what_it_is_for() -> None:
    bad: list[str] = []
    for path in tracked():
        name = str(path.relative_to(ROOT))
        if path.suffix != ".py" or not name.startswith(CODE):
            continue
        text = path.read_text()
        # Ansible wants its DOCUMENTATION in a variable; that counts as a head.
        head = ast.get_docstring(ast.parse(text)) or ("DOCUMENTATION" if "DOCUMENTATION = " in text else "")
        if not head and text.strip():
            bad.append(f"{name}: no docstring at its head")
        elif head and len(head.split()) < 4 and head != "DOCUMENTATION":
            bad.append(f"{name}: its head says nothing: {head!r}")
    assert not bad, bad


def test_the_pulumi_folder_is_no_package() -> None:
    """With an __init__.py, `import pulumi` from the root would find our folder instead of the SDK."""
    assert not (ROOT / "pulumi/__init__.py").exists()


def test_the_top_level_is_the_one_that_the_readme_describes() -> None:
    allowed = re.compile(
        r"pyproject\.toml|playbooks|roles|pulumi|inventories|gateway|tests|README\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|"
        r"SECURITY\.md|Makefile|docs|\.ci|\.gitignore|\.gitattributes|\.github|\.editorconfig|\.ansible-lint|\.yamllint|"
        r"requirements\.[a-z]+\.lock"
    )
    extra = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in extra if not allowed.fullmatch(name)} == set()


def test_nothing_of_one_machine_is_in_the_tree() -> None:
    """The clone's own path and its parent's, wherever it is checked out deep enough to be told from ordinary words."""
    if len(ROOT.parts) < 3:
        pytest.skip("a clone at the top of the file system cannot be told from ordinary words")
    forbidden = (f"{ROOT}/", f"{ROOT.parent}/shared")
    found = [
        f"{path.relative_to(ROOT)} contains {text}"
        for path in tracked()
        if path.suffix not in {".png", ".lock"} and path != Path(__file__)
        for text in forbidden
        if text.encode() in path.read_bytes()
    ]
    assert not found, found


def test_no_private_key_or_large_file_is_in_the_tree() -> None:
    marker = b"PRIVATE " + b"KEY-----"
    for path in tracked():
        assert path.stat().st_size < 1024 * 1024, f"{path} is larger than 1 MiB"
        # A key that a test writes down to be refused would be allowed to be named here; there is none.
        assert marker not in path.read_bytes(), f"{path} holds a private key"


HANDLES = ("lab", "test", "check", "test-all", "lab-up", "migrate", "plan", "rollback", "status", "lab-down", "preview")


def test_make_help_lists_every_handle() -> None:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for handle in HANDLES:
        assert re.search(rf"^  make {handle} ", printed, re.MULTILINE), f"make {handle} is not in:\n{printed}"


@pytest.mark.parametrize(
    "arguments", [["rollback"], ["rollback", "TO=6"], ["rollback", "TO=1;id"], ["preview"], ["preview", "STACK=../x"]]
)
def test_a_handle_with_a_wrong_argument_is_refused_before_anything_happens(arguments: list[str]) -> None:
    run = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "found " in run.stderr


@pytest.mark.parametrize("script", sorted((ROOT / ".ci").iterdir()), ids=lambda path: path.name)
def test_a_script_is_executable_strict_and_parses(script: Path) -> None:
    text = script.read_text()
    assert script.stat().st_mode & 0o111, f"{script} is not executable"
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "set -euo pipefail" in text
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_set_up_names_its_purposes() -> None:
    run = subprocess.run([ROOT / ".ci/setup", "--for", "nothing"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (2, "usage: .ci/setup --for check|deploy|azure|lab|test\n")


def test_the_readme_says_what_matters_on_its_first_screens() -> None:
    text = (ROOT / "README.md").read_text()
    first_screens = "\n".join(text.splitlines()[:75])
    for part in ("make lab", "make test", "docs/report.png", "Update DNS", "CONTRIBUTING.md"):
        assert part in first_screens, f"{part!r} is not in the first 75 lines"


def without_code(text: str) -> str:
    """Markdown without its fenced blocks: what stands in them is no link."""
    return re.sub(r"^(`{3,})[^`\n]*\n.*?^\1$", "", text, flags=re.S | re.M)


def test_links_between_our_documents_lead_somewhere() -> None:
    broken: list[str] = []
    for path in tracked():
        if path.suffix == ".md":
            for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", without_code(path.read_text())):
                # The picture of the report is made by running the lab.
                if not (path.parent / target).exists() and target != "docs/report.png":
                    broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken, broken
