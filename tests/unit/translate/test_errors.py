"""Both error tables, row by row: the RFC's value, ours, and why they differ."""

from __future__ import annotations

import pytest

from xmppgw.sip.message import REASONS
from xmppgw.translate.errors import (
    CONDITIONS,
    EXPLANATIONS,
    NEVER_SENT,
    OTHER_CONDITIONS,
    STATUS_ROWS,
    UNKNOWN_USER,
    StatusRow,
    failure_from_status,
    one_line,
    status_for,
)
from xmppgw.translate.neutral import Failure
from xmppgw.xmpp.address import JID
from xmppgw.xmpp.errors import STANZA_ERROR_TYPES


@pytest.mark.parametrize("row", STATUS_ROWS, ids=lambda row: row.condition)
def test_table_2(row: StatusRow) -> None:
    assert status_for(Failure(row.condition)) == row.status
    assert row.status not in NEVER_SENT, "the platform must never see this code"
    assert 400 <= row.status < 600, "6xx would end the search everywhere"
    assert row.status in REASONS
    assert bool(row.correction) == (row.status not in (row.full, row.bare)) or row.full != row.bare
    if row.status not in (row.full, row.bare):
        assert row.correction, "a departure from the RFC says why"


def test_both_tables_are_complete() -> None:
    assert {row.condition for row in STATUS_ROWS} == set(STANZA_ERROR_TYPES) == set(EXPLANATIONS)
    assert len(STATUS_ROWS) == 22
    assert set(CONDITIONS.values()) | set(OTHER_CONDITIONS.values()) <= set(STANZA_ERROR_TYPES)


@pytest.mark.parametrize(("condition", "status"), [("gone", 301), ("redirect", 302)])
def test_a_new_address_makes_it_a_redirection(condition: str, status: int) -> None:
    assert status_for(Failure(condition, new_address=JID.parse("new@partner1.example"))) == status
    assert status_for(Failure(condition)) >= 400


def test_what_is_not_a_condition_is_a_bad_request() -> None:
    assert status_for(Failure("no-such-condition")) == 400


# RFC 7247 table 3, typed anew from the RFC so that a slip in the module's table shows.
TABLE_3 = """
300 redirect|301 gone|302 redirect|305 redirect|380 not-acceptable|400 bad-request|401 not-authorized|402 bad-request
403 forbidden|404 item-not-found|405 feature-not-implemented|406 not-acceptable|407 registration-required
408 remote-server-timeout|410 gone|413 policy-violation|414 policy-violation|415 not-acceptable|416 not-acceptable
420 feature-not-implemented|421 not-acceptable|423 resource-constraint|430 recipient-unavailable
439 feature-not-implemented|440 policy-violation|480 recipient-unavailable|481 item-not-found|482 not-acceptable
483 not-acceptable|484 item-not-found|485 item-not-found|486 recipient-unavailable|487 recipient-unavailable
488 not-acceptable|489 policy-violation|491 unexpected-request|493 bad-request|500 internal-server-error
501 feature-not-implemented|502 remote-server-not-found|503 internal-server-error|504 remote-server-timeout
505 not-acceptable|513 policy-violation|600 recipient-unavailable|603 recipient-unavailable|604 item-not-found
606 not-acceptable|399 redirect|499 bad-request|599 internal-server-error|699 recipient-unavailable
"""


@pytest.mark.parametrize("row", TABLE_3.replace("\n", "|").strip("|").split("|"))
def test_table_3(row: str) -> None:
    code, condition = row.split()
    failure = failure_from_status(int(code), "Because", disclose_users=True)
    assert (failure.condition, failure.status, failure.text) == (condition, int(code), "Because")


@pytest.mark.parametrize("status", sorted(UNKNOWN_USER))
def test_nobody_can_list_the_users(status: int) -> None:
    """RFC 6120 13.11: unknown, gone and withheld look the same, the reason phrase included."""
    unknown = failure_from_status(status, "User does not exist")
    assert (unknown.condition, unknown.text) == ("service-unavailable", "")


def test_foreign_text_becomes_one_harmless_line() -> None:
    assert one_line("a\r\nb\tc\x00\u202ed\u2066e\ud800f\x85g  h") == "a b c d e f g h"
