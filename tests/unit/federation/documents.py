"""A small document as text, and ways to spoil it; used by the tests of this folder and by property and CLI tests.

It is the lab's first one: two partners, one host of each kind. The lab's own may grow without any test here noticing.
"""

from __future__ import annotations

from pathlib import Path

from xmppgw.federation import Examination, Problem, examine_bytes

ROOT = Path(__file__).resolve().parents[3]
SMALL_FILE = Path(__file__).with_name("small.yml")
SMALL = SMALL_FILE.read_text()
NAME = "federation.yml"


def examine(text: str | bytes) -> Examination:
    return examine_bytes(text.encode() if isinstance(text, str) else text, NAME)


def changed(*replacements: tuple[str, str]) -> str:
    """The small document with each first text replaced by the second; the first must be there."""
    text = SMALL
    for old, new in replacements:
        assert old in text, f"{old!r} is not in the small document"
        text = text.replace(old, new, 1)
    return text


def problems(text: str | bytes) -> list[Problem]:
    return list(examine(text).problems)


def only(text: str | bytes) -> Problem:
    """The one problem of a document."""
    found = problems(text)
    assert len(found) == 1, "expected one problem, found:\n" + "\n".join(map(str, found))
    return found[0]


def line_of(text: str, part: str) -> int:
    """The number of the first line that contains `part`."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def with_partners(count: int, row: str = "type: federated, tls: required, sasl: optional, dialback: true") -> str:
    rows = "".join(
        f"    - {{domain: partner{number}.example.net, additional_domains: [chat.p{number}.example.net], {row}}}\n"
        for number in range(count)
    )
    return changed(("  access_policies:\n", rows + "  access_policies:\n"))
