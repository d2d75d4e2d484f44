"""Whatever is fed to the loader, it answers with a document or with documented problems; never with an exception."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.federation.documents import SMALL, examine, line_of

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.federation import (
    CODES,
    Examination,
    Method,
    Requirement,
    Severity,
    edge_settings,
    front_end_settings,
    partner_outcome,
    ports,
)
from xmppgw.frontend.settings import decode_front_end_settings

LINES = SMALL.splitlines(keepends=True)
# What people and editors do to YAML.
SPOILERS = st.sampled_from(
    [*"\t \n:{}[]'\"#|>~%@é\u2028\x00\ufeff", "- ", "&a ", "*a", "<<: *a", "!!x ", "0x", "? "],
)


def judge(examination: Examination, lines: int) -> None:
    assert examination.document is not None or examination.problems
    for problem in examination.problems:
        assert problem.code in CODES
        assert problem.severity is CODES[problem.code].severity
        assert 0 <= problem.line <= lines + 1
        assert problem.message
        assert problem.hint
        json.dumps(problem.as_json())
    errors = any(problem.severity is Severity.ERROR for problem in examination.problems)
    assert errors == (examination.document is None)


@given(st.binary(max_size=400))
@example(b'federation: "\\uD800"\n')
@example(b"federation: {? }\n")
@example(b"federation:\n  <<: [1, {a: b}]\n")
@settings(max_examples=300, deadline=None)
def test_any_bytes(data: bytes) -> None:
    judge(examine(data), data.count(b"\n") + data.count(b"\r") + 1)


@given(st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_text_below_the_root(text: str) -> None:
    document = "federation:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    judge(examine(document.encode("utf-8", "surrogatepass")), len(document) + 1)


@given(st.lists(st.tuples(st.integers(0, len(SMALL)), SPOILERS), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_the_small_document_with_characters_put_in(spoilers: list[tuple[int, str]]) -> None:
    text = SMALL
    for position, spoiler in spoilers:
        text = text[:position] + spoiler + text[position:]
    judge(examine(text), len(text.splitlines()) + 4)


@given(numbers=st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=6), double=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_small_document_with_lines_removed_or_doubled(numbers: list[int], *, double: bool) -> None:
    text = "".join(line * (1 if number not in numbers else 2 * double) for number, line in enumerate(LINES))
    judge(examine(text), len(text.splitlines()) + 1)


# Printable: JSON writes other characters in ways that YAML does not read.
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-70000, 70000) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
SECTIONS = [
    "version",
    "sip_domains",
    "legacy",
    "target",
    "pools",
    "edges",
    "sip",
    "partners",
    "access_policies",
    "homing",
    "dns",
    "certificates",
]


@given(st.sampled_from(SECTIONS), JSON)
@settings(max_examples=300, deadline=None)
def test_any_value_in_the_place_of_a_section(section: str, value: object) -> None:
    start = next(number for number, line in enumerate(LINES) if line.startswith(f"  {section}:"))
    end = next((n for n in range(start + 1, len(LINES)) if not LINES[n].startswith("    ")), len(LINES))
    written = f"  {section}: {json.dumps(value)}\n"
    text = "".join(LINES[:start]) + written + "".join(LINES[end:])
    examination = examine(text)
    judge(examination, len(text.splitlines()) + 1)
    if section != "version" and not isinstance(value, list | dict):
        assert f"federation.{section}" in {problem.path for problem in examination.problems} or section == "legacy"
        assert (
            line_of(text, f"  {section}:") in {problem.line for problem in examination.problems} or section == "legacy"
        )


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--" and not label.isdigit()
)
PARTNERS = st.lists(
    st.fixed_dictionaries(
        {
            "domain": st.builds(lambda a: f"{a}.partner.example", LABEL),
            "tls": st.sampled_from([r.value for r in Requirement]),
            "sasl": st.sampled_from([r.value for r in Requirement]),
            "dialback": st.booleans(),
        }
    ),
    max_size=6,
    unique_by=lambda partner: str(partner["domain"]),
)


@given(PARTNERS)
@settings(max_examples=150, deadline=None)
def test_what_a_usable_document_gives_the_daemons_can_read(partners: list[dict[str, object]]) -> None:
    start = SMALL.index("  partners:\n")
    end = SMALL.index("  access_policies:\n")
    examination = examine(SMALL[:start] + f"  partners: {json.dumps(partners)}\n" + SMALL[end:])
    judge(examination, len(LINES))
    outcomes = [partner_outcome(Requirement(p["tls"]), Requirement(p["sasl"]), bool(p["dialback"])) for p in partners]
    assert (examination.document is not None) == all(outcome.valid for outcome in outcomes)
    if examination.document is None:
        return
    decode_edge_settings(json.dumps(edge_settings(examination.document, "edge1", federation_enabled=True)).encode())
    raw = front_end_settings(examination.document, "fe1", policy_enabled=True, federation_enabled=True)
    assert len(decode_front_end_settings(json.dumps(raw).encode()).partners) == len(partners)
    assert all(1 <= rule.port <= 65535 for rule in ports(examination.document))


@given(tls=st.sampled_from(Requirement), sasl=st.sampled_from(Requirement), dialback=st.booleans())
def test_asking_for_less_never_takes_a_method_away(tls: Requirement, sasl: Requirement, *, dialback: bool) -> None:
    outcome = partner_outcome(tls, sasl, dialback)
    if tls is Requirement.REQUIRED:
        assert outcome.allowed <= partner_outcome(Requirement.OPTIONAL, sasl, dialback).allowed
        assert Method.DIALBACK_OVER_TCP not in outcome.allowed
    if not dialback:
        assert outcome.allowed <= {Method.SASL_OVER_TLS}
        assert outcome.allowed <= partner_outcome(tls, sasl, True).allowed
