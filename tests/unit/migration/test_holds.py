"""A run stops before the cut until somebody says so, and before its window; what was confirmed stays confirmed."""

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils import run_holds
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.window import Window, read
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

ALL = {str(step): True for step in range(1, 7)}


def federation(world, **more):
    world.federation.update(holds=[5, 6], **more)
    return world.environment().federation


def first(federation, records=(), confirmed=(), window=None, pending=ALL):
    return run_holds.first_hold(
        run_holds.holds(federation, read_history(list(records)), list(confirmed), window or Window()), pending
    )


def test_the_first_hold_with_work_behind_it_stops_the_run(world):
    held = federation(world)
    assert first(held)[0] == 5
    assert "-e confirm=5" in first(held)[1]
    assert first(held, confirmed=[5])[0] == 6
    assert first(held, confirmed=[5, 6]) is None


def test_a_confirmation_is_good_until_the_step_is_taken_back(world):
    held, confirmed = federation(world), {"event": "hold_confirmed", "step": 5}
    assert first(held, [confirmed])[0] == 6
    assert first(held, [confirmed, {"event": "step_undone", "step": 5}])[0] == 5


def test_what_is_done_is_not_held_again(world):
    done = [{"event": "step_done", "step": step} for step in range(1, 7)]
    assert first(federation(world), done) is None


def test_a_step_without_work_holds_nobody(world):
    assert first(federation(world), pending={"5": False, "6": True})[0] == 6


def test_a_window_that_has_not_begun_holds(world):
    window = {"start": "2027-12-05T22:00:00+01:00", "end": "2027-12-06T02:00:00+01:00"}
    held = federation(world, maintenance_window=window)
    opens = read(world.picture())
    step, why = first(held, confirmed=[5, 6], window=opens)
    assert step == 5
    assert "2027-12-05 21:00 UTC to 2027-12-06 01:00 UTC" in why
    assert run_holds.holds(held, read_history([]), [5, 6], opens, any_time=True) == {}


@pytest.mark.parametrize("text", ["7", "five", "5;6", "0"])
def test_what_is_no_step_cannot_be_confirmed(text):
    with pytest.raises(PictureError) as caught:
        run_holds.confirmed_steps(text)
    assert caught.value.code == "migration-confirm"


def test_several_steps_can_be_confirmed_at_once():
    assert run_holds.confirmed_steps("6, 5") == [5, 6]
    assert run_holds.confirmed_steps("") == []
