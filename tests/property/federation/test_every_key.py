"""Any value in the place of any key of a document that uses nearly all of them: a document or documented problems."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.property.federation.test_document import JSON, judge
from tests.unit.federation.documents import examine

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.federation import (
    Document,
    certificates,
    edge_settings,
    front_end_settings,
    ports,
    records,
)
from xmppgw.federation.letter import partner_letter
from xmppgw.federation.noticed import noticed, notices
from xmppgw.federation.support import support
from xmppgw.frontend.settings import decode_front_end_settings

ROOT = Path(__file__).resolve().parents[3]
WHOLE: dict[str, Any] = yaml.safe_load((ROOT / "docs/examples/two-of-each.yml").read_text())
Path_ = tuple[str | int, ...]


def paths(value: object, before: Path_ = ()) -> list[Path_]:
    """Every place in a document."""
    below: list[Path_] = []
    if isinstance(value, dict):
        below = [path for key, item in value.items() for path in paths(item, (*before, key))]
    elif isinstance(value, list):
        below = [path for number, item in enumerate(value) for path in paths(item, (*before, number))]
    return [before, *below]


PLACES = st.sampled_from([path for path in paths(WHOLE) if len(path) > 1])
NEARLY = st.sampled_from(
    [
        *("", " ", "all", "ALL", "a@b", "alice@contoso.example ", "sip:alice@contoso.example", "02:00", "25:00"),
        *("2026-12-05T22:00:00", "2026-12-05T22:00:00+01:00", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00Z"),
        *("legacy", "gateway", "coexist", "acme", "import", "manual", "google_talk", "contoso.example", "all.example"),
        *("https://", "https://ca.example:99999/", "https://a@ca.example/", "http://ca.example/", "../users.table"),
        *(0, -1, 1, 6, 7, 10**30, True, None, [], {}, [[]], {"a": 1}),
    ]
)


def replaced(path: Path_, value: object) -> str:
    document = copy.deepcopy(WHOLE)
    around: Any = document
    for part in path[:-1]:
        around = around[part]
    around[path[-1]] = value
    return json.dumps(document)


def derive_everything(document: Document) -> None:
    federation = document.federation
    certificates(document), records(document), noticed(document), notices(document)
    assert all(1 <= rule.port <= 65535 for rule in ports(document))
    for partner in federation.partners:
        support(partner)
        partner_letter(document, partner.domain)
    for edge in federation.edges:
        for connected in (False, True):
            raw = edge_settings(document, edge.host, federation_enabled=True, legacy_connected=connected)
            decode_edge_settings(json.dumps(raw).encode())
    for _, front_end in federation.front_ends:
        raw = front_end_settings(document, front_end.host, policy_enabled=True, federation_enabled=True)
        decode_front_end_settings(json.dumps(raw).encode())


@given(path=PLACES, value=NEARLY | JSON)
@example(path=("federation", "legacy"), value=None)
@example(path=("federation", "maintenance_window", "end"), value="0001-01-01T00:00:00Z")
@example(path=("federation", "certificates", "public", "directory"), value="https://ca.example:99999/")
@settings(max_examples=500, deadline=None)
def test_any_value_in_the_place_of_any_key(path: Path_, value: object) -> None:
    text = replaced(path, value)
    examination = examine(text)
    judge(examination, 2)
    if examination.document is not None:
        derive_everything(examination.document)


@given(path=PLACES)
@settings(max_examples=200, deadline=None)
def test_any_key_left_out(path: Path_) -> None:
    document = copy.deepcopy(WHOLE)
    around: Any = document
    for part in path[:-1]:
        around = around[part]
    del around[path[-1]]
    examination = examine(json.dumps(document))
    judge(examination, 2)
    if examination.document is not None:
        derive_everything(examination.document)


PYTHON = re.compile(
    r"\b(None|True|False|NoneType|tuple|dict|int|str|pydantic|Traceback|Input should)\b|<class|object at 0x"
)


@given(path=PLACES, value=NEARLY)
@settings(max_examples=300, deadline=None)
def test_a_problem_speaks_to_a_person(path: Path_, value: object) -> None:
    """It says what was found or what is missing, in one line of the document's words, and what to do."""
    for problem in examine(replaced(path, value)).problems:
        told = problem.message.replace(str(value), "") if isinstance(value, str) and value.strip() else problem.message
        assert not PYTHON.search(told), str(problem)
        assert problem.message == problem.message.strip()
        assert "\n" not in problem.message
        assert "found" in problem.message or "is not" in problem.message or "is empty" in problem.message, str(problem)
        assert problem.hint[0] == problem.hint[0].strip()
        assert problem.path.startswith("federation")
