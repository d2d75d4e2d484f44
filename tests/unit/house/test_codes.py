"""Every code that a program may meet is documented in docs/codes.md, and every documented one exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from xmppgw.federation.problems import CODES, codes_table

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTED = (ROOT / "docs/codes.md").read_text()
PAGE_CODES = set(re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENTED, re.MULTILINE))


def codes_in(folder: str, pattern: str) -> set[str]:
    return {
        found for path in sorted((ROOT / folder).rglob("*.py")) for found in re.findall(pattern, path.read_text())
    }  # fmt: skip


def test_the_table_of_the_document_codes_is_current() -> None:
    assert codes_table() in DOCUMENTED, "write it anew:\n" + codes_table()


def test_the_codes_of_the_daemons_settings_are_documented() -> None:
    used = codes_in("gateway/xmppgw", r'"(settings-[a-z-]+)"')
    assert used
    assert used <= PAGE_CODES, sorted(used - PAGE_CODES)


def test_the_codes_of_the_migration_are_documented() -> None:
    used = codes_in("playbooks", r'"(migration-[a-z0-9-]+)"')
    assert used
    assert used <= PAGE_CODES, sorted(used - PAGE_CODES)


#: Whose first argument is the code of a problem that somebody reads.
TOLD_BY = frozenset(
    {
        "Problem", "Finding", "Flaw", "Refusal", "ExportRefused", "UsersProblem", "PictureError", "SettingsProblem",
        "ChainError", "ChangeError", "PartnerRefusalError", "refuse", "lose", "bad_input", "guard", "_refuse", "_lose",
        "_unread", "_bad_input", "_Refused",
    }
)  # fmt: skip
A_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


def told(path: Path) -> set[str]:
    """The codes that a module says by calling one of these."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        if name in TOLD_BY and isinstance(first, ast.Constant) and A_CODE.fullmatch(str(first.value)):
            found.add(str(first.value))
    return found


def test_every_code_that_is_told_is_documented() -> None:
    rooms = ("cli", "exports", "federation", "policy", "runbook", "telemetry")
    folders = [*(ROOT / "gateway/xmppgw" / room for room in rooms), ROOT / "playbooks", ROOT / "pulumi"]
    used = {code for folder in folders for path in folder.rglob("*.py") for code in told(path)}
    assert len(used) > 100
    assert used <= PAGE_CODES, sorted(used - PAGE_CODES)


def test_no_code_is_documented_twice() -> None:
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENTED, re.MULTILINE)
    assert sorted(listed) == sorted(set(listed))


def test_every_documented_code_is_used_somewhere() -> None:
    sources = "\n".join(
        path.read_text() for folder in ("gateway", "playbooks", "pulumi") for path in (ROOT / folder).rglob("*.py")
    )
    unused = {code for code in PAGE_CODES - set(CODES) if f'"{code}"' not in sources}
    assert not unused, sorted(unused)
