"""The order in which a partner's servers are tried."""

from __future__ import annotations

import pytest

from xmppgw.xmpp.srv import MAX_TARGETS, NoService, SrvRecord, Target, order_targets, plan_connection

NO_CHANCE = [0.0] * 64


def test_lower_priority_comes_first_whatever_the_weight():
    records = [SrvRecord(20, 100, 1, "b."), SrvRecord(10, 0, 2, "a.")]
    assert order_targets(records, NO_CHANCE) == [Target("a", 2), Target("b", 1)]


def test_weight_is_a_share():
    records = [SrvRecord(0, 1, 1, "small."), SrvRecord(0, 3, 1, "large.")]
    firsts = [order_targets(records, [step / 1000, 0.5])[0].host for step in range(1000)]
    assert 730 < firsts.count("large") < 770


def test_weight_zero_is_chosen_last_unless_chance_is_zero():
    records = [SrvRecord(0, 0, 1, "zero."), SrvRecord(0, 10, 1, "ten.")]
    assert order_targets(records, [0.5, 0.5])[0].host == "ten"
    assert order_targets(records, [0.0, 0.5])[0].host == "zero"


def test_the_same_numbers_give_the_same_order():
    records = [SrvRecord(0, weight, 1, f"h{weight}.") for weight in range(10)]
    numbers = [0.3, 0.9, 0.1, 0.7, 0.2, 0.5, 0.6, 0.4, 0.8, 0.0]
    assert order_targets(records, numbers) == order_targets(list(reversed(records)), numbers)


def test_too_few_numbers_are_a_bug():
    with pytest.raises(ValueError, match="random numbers"):
        order_targets([SrvRecord(0, 0, 1, "a.")], [])


def test_without_records_the_domain_itself_is_tried():
    assert plan_connection("corp.example", [], []) == [Target("corp.example", 5269)]


def test_a_lone_dot_means_no_service_and_no_fallback():
    with pytest.raises(NoService):
        plan_connection("corp.example", [SrvRecord(0, 0, 0, ".")], NO_CHANCE)


def test_a_dot_among_others_is_left_out():
    records = [SrvRecord(0, 0, 5269, "."), SrvRecord(0, 0, 5269, "a.")]
    assert plan_connection("corp.example", records, NO_CHANCE) == [Target("a", 5269)]


def test_a_zone_full_of_targets_is_cut():
    records = [SrvRecord(0, 0, 5269, f"h{number}.") for number in range(60)]
    assert len(plan_connection("corp.example", records, NO_CHANCE)) == MAX_TARGETS
