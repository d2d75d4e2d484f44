"""docs/planning.md shows what the tool prints, and every example document is one that can be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.planning_page import PAGE, ROOT, SECTION, current

from xmppgw.federation import Severity, examine_document

DOCUMENTS = sorted([*ROOT.glob("docs/examples/*.yml"), *ROOT.glob("inventories/*/group_vars/all/federation.yml")])


def test_the_page_is_current() -> None:
    page = PAGE.read_text()
    assert current(page) == page, "python -m tests.unit.cli.planning_page writes it anew"


def test_the_page_shows_the_lab_and_every_example() -> None:
    shown = {found["document"] for found in SECTION.finditer(PAGE.read_text())}
    assert shown == {str(path.relative_to(ROOT)) for path in DOCUMENTS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_document_of_the_tree_can_be_used(path: Path) -> None:
    examination = examine_document(path)
    assert examination.document is not None, "\n".join(map(str, examination.problems))
    refused = {problem.code for problem in examination.problems if problem.severity is Severity.REFUSED}
    # Two front ends can be planned, which is what such a document is there for.
    several = len(examination.require().federation.front_ends) > 1
    assert refused == ({"not-in-this-version"} if several else set())
