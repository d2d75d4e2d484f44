"""Every code that a program may meet is documented in docs/codes.md, and every documented one exists."""

from __future__ import annotations

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


def test_no_code_is_documented_twice() -> None:
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENTED, re.MULTILINE)
    assert sorted(listed) == sorted(set(listed))


def test_every_documented_code_is_used_somewhere() -> None:
    sources = "\n".join(
        path.read_text() for folder in ("gateway", "playbooks", "pulumi") for path in (ROOT / folder).rglob("*.py")
    )
    unused = {code for code in PAGE_CODES - set(CODES) if f'"{code}"' not in sources}
    assert not unused, sorted(unused)
