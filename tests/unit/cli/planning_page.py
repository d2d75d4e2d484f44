"""docs/planning.md between its markers, from the documents that they name; `python -m tests.unit.cli.planning_page`."""

from __future__ import annotations

import re
from pathlib import Path

from xmppgw.cli import planning
from xmppgw.federation import load_document

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/planning.md"
SECTION = re.compile(r"<!-- (?P<document>[\w./-]+\.yml) -->\n.*?<!-- end -->", re.DOTALL)


def current(page: str) -> str:
    """The page with each section as the tool prints it now."""

    def section(found: re.Match[str]) -> str:
        name = found["document"]
        derived = planning.derive(load_document(ROOT / name), name, ())
        text = planning.summaries_text(derived, markdown=True)
        # One level below the section's own heading.
        return f"<!-- {name} -->\n" + re.sub(r"^## ", "### ", text, flags=re.MULTILINE) + "\n<!-- end -->"

    return SECTION.sub(section, page)


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
