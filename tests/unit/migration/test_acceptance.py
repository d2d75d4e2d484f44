"""Overriding a guard: by code and with a reason, journalled with who and why, and good for what was found only."""

from pathlib import Path

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import Refusal, acceptance
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

TEXT_ONLY = Refusal("text-only", "reason", "pool a", "hint")
R3 = Refusal("migration-r3", "reason", "alice", "hint")


def test_what_is_asked_is_cut_at_commas():
    assert acceptance.asked(" text-only ,migration-r8,", "we told them") == ["migration-r8", "text-only"]
    assert acceptance.asked("", "") == []


@pytest.mark.parametrize(
    ("accept", "reason", "said"),
    [
        ("text-onyl", "why", "no guard has"),
        ("migration-r3", "why", "cannot be overridden"),
        ("text-only", "", "needs a reason"),
        ("text-only", "  ", "needs a reason"),
    ],
)
def test_what_cannot_be_accepted_is_refused(accept, reason, said):
    with pytest.raises(PictureError, match=said) as caught:
        acceptance.asked(accept, reason)
    assert caught.value.code == "migration-accept"


def test_only_what_was_named_passes():
    accepted, remaining = acceptance.sort([TEXT_ONLY, R3], ["text-only"], "told", "ann@host", {})
    assert [(item.code, item.by, item.why, item.new) for item in accepted] == [("text-only", "ann@host", "told", True)]
    assert remaining == [R3]


def test_a_guard_that_cannot_be_overridden_is_not_even_when_the_journal_says_so():
    _accepted, remaining = acceptance.sort([R3], [], "", "x", {"migration-r3": {"alice": {"by": "x", "why": "y"}}})
    assert remaining == [R3]


def test_the_journal_remembers_an_acceptance_of_what_was_found_and_of_nothing_else():
    (accepted,), _ = acceptance.sort([TEXT_ONLY], ["text-only"], "told", "ann", {})
    history = read_history([{**accepted.as_record(), "who": "ann"}])
    (again,), remaining = acceptance.sort([TEXT_ONLY], [], "", "bob", history.accepted)
    assert (again.by, again.why, again.new, remaining) == ("ann", "told", False, [])
    other = Refusal("text-only", "reason", "pool b", "hint")
    assert acceptance.sort([other], [], "", "bob", history.accepted) == ([], [other])


def test_a_refusal_says_how_it_can_be_accepted_or_nothing_of_it():
    text = guards.explain([TEXT_ONLY, R3])
    assert text.count("-e accept=") == 1
    assert "-e accept=text-only" in text
    assert "presence and contacts stop working" in text


def test_the_outcome_names_every_code_once():
    (accepted,), _ = acceptance.sort([TEXT_ONLY], ["text-only"], "told", "ann", {})
    result = guards.outcome(5, [R3], [accepted])
    assert [item["code"] for item in result["overridden"]] == ["text-only"]
    assert [item["code"] for item in result["refused"]] == ["migration-r3"]
    assert sorted([*result["passed"], "text-only", "migration-r3"]) == guards.all_codes()


def test_what_can_be_accepted_and_what_that_means_is_documented():
    page = (Path(__file__).resolve().parents[3] / "docs" / "playbooks.md").read_text(encoding="utf-8")
    assert {code for code in guards.ACCEPTABLE if f"| `{code}` |" not in page} == set()
