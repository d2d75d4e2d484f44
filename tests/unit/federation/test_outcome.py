"""The published table of 18 combinations, row by row, against the closed form."""

from __future__ import annotations

import pytest

from xmppgw.federation import Method, Requirement, partner_outcome
from xmppgw.federation.outcome import DIALBACK_INERT, RATIONALE, SASL_NEEDS_TLS

R, O, N = Requirement.REQUIRED, Requirement.OPTIONAL, Requirement.NOT_SUPPORTED  # noqa: E741

# (TLS, SASL, dialback): the letters as published, and whether the row carries a warning.
PUBLISHED = {
    (R, R, True): ("S", True),
    (R, O, True): ("S,T", False),
    (R, N, True): ("T", False),
    (R, R, False): ("S", False),
    (R, O, False): ("S", False),
    (R, N, False): ("invalid", False),
    (O, R, True): ("S,T,C", True),
    (O, O, True): ("S,T,C", True),
    (O, N, True): ("T,C", False),
    (O, R, False): ("S", True),
    (O, O, False): ("S", True),
    (O, N, False): ("invalid", False),
    (N, R, True): ("C", True),
    (N, O, True): ("C", True),
    (N, N, True): ("C", False),
    (N, R, False): ("invalid", False),
    (N, O, False): ("invalid", False),
    (N, N, False): ("invalid", False),
}


def test_the_table_has_all_combinations() -> None:
    assert len(PUBLISHED) == 18
    assert set(RATIONALE) == set(PUBLISHED)


@pytest.mark.parametrize(("combination", "row"), PUBLISHED.items(), ids=["-".join(map(str, key)) for key in PUBLISHED])
def test_a_published_row(combination: tuple[Requirement, Requirement, bool], row: tuple[str, bool]) -> None:
    outcome = partner_outcome(*combination)
    letters, warned = row
    assert outcome.letters == letters
    assert bool(outcome.warnings) == warned
    assert outcome.valid == (letters != "invalid")
    assert outcome.rationale


def test_the_two_warnings_say_different_things() -> None:
    assert partner_outcome(R, R, True).warnings == (DIALBACK_INERT,)
    assert partner_outcome(O, R, False).warnings == (SASL_NEEDS_TLS,)


@pytest.mark.parametrize(
    ("combination", "expected"),
    [
        ((R, O, True), Method.SASL_OVER_TLS),
        ((O, N, True), Method.DIALBACK_OVER_TLS),
        ((N, N, True), Method.DIALBACK_OVER_TCP),
        ((N, N, False), None),
    ],
)
def test_the_best_method_is_expected(
    combination: tuple[Requirement, Requirement, bool], expected: Method | None
) -> None:
    assert partner_outcome(*combination).expected is expected
