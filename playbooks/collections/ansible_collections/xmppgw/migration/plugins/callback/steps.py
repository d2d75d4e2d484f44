"""Shows a migration as its steps: a banner for each, what changed, every wait with its reason, one screen at the end.

The same facts go, as they happen, as JSON lines to $XMPPGW_STEPS_FILE. With -v every task is shown.
"""

from __future__ import annotations

import re
import time

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, steps_file

DOCUMENTATION = r"""
name: steps
type: stdout
short_description: Steps of a migration
description:
  - Prints a banner for each step, what changed, and one screen at the end.
  - Writes JSON lines to the file that the environment variable E(XMPPGW_STEPS_FILE) names.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

BANNER = re.compile(r"^\((\d)/6\) (Take back: )?(.+)$")


class Stage:
    """One play that is a step, while it runs and afterwards."""

    def __init__(self, number, name, undo, now):
        self.number, self.name, self.undo = number, name, undo
        self.started, self.ended = now, None
        self.changed, self.waited, self.state, self.reason = 0, 0.0, "announced", ""

    @property
    def duration(self):
        """Seconds from its start until its end, or until now."""
        return (self.ended or time.time()) - self.started


class CallbackModule(Default):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "xmppgw.migration.steps"

    def __init__(self):
        super().__init__()
        self.stages = []
        self.current = None
        self.begun = time.time()
        self.other_changed = 0
        self.failure = None
        self.hold = None

    # Plays

    def v2_playbook_on_start(self, playbook):
        """Note that a run began."""
        self.begun = time.time()
        steps_file.write("run_started", name=str(playbook._file_name).rpartition("/")[2])

    def v2_playbook_on_play_start(self, play):
        """Close the earlier step and open the next."""
        self._play = play
        self._close("done")
        match = BANNER.match(play.get_name().strip())
        if not match:
            if self._display.verbosity:
                self._display.banner(play.get_name())
            return
        number, undo, name = int(match[1]), bool(match[2]), match[3]
        self.current = Stage(number, name, undo, time.time())
        self.stages.append(self.current)

    def _begin(self, held):
        """The first task has said whether the step takes part in this run (until=N, rollback to=N) or is held."""
        stage = self.current
        if held:
            self.stages.remove(stage)
            self.current = None
            return
        stage.state, stage.started = "running", time.time()
        undo = "Take back: " if stage.undo else ""
        self._display.display(f"\n({stage.number}/6) {undo}{stage.name}", color=constants.COLOR_HIGHLIGHT)
        steps_file.write("step_started", number=stage.number, name=stage.name, undo=stage.undo)

    def _close(self, state, reason=""):
        stage, self.current = self.current, None
        if stage is None:
            return
        if stage.state == "announced" and state == "done":
            self.stages.remove(stage)
            return
        stage.ended, stage.state, stage.reason = time.time(), state, reason
        event = {"done": "step_undone" if stage.undo else "step_finished", "failed": "step_failed"}[state]
        steps_file.write(
            event,
            number=stage.number,
            name=stage.name,
            changed=stage.changed,
            waited_s=round(stage.waited, 2),
            duration_s=round(stage.duration, 2),
            reason=reason,
            state="undone" if stage.undo and state == "done" else state,
        )

    # Tasks

    def v2_playbook_on_task_start(self, task, is_conditional):
        """Note it; show it only when asked to: its result says enough."""
        steps_file.write(
            "task_started",
            play=self._play.get_name().strip(),
            task=task.get_name().strip(),
            action=task.action.rpartition(".")[2],
        )
        if self._display.verbosity:
            super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_include(self, included_file):
        """Includes are no news."""

    def v2_runner_on_skipped(self, result):
        """Neither are skips, unless asked for."""
        if self._display.verbosity:
            super().v2_runner_on_skipped(result)

    def v2_on_file_diff(self, result):
        """A step's plan is shown below its banner, in words; other differences as they are."""
        if "held" not in result.result:
            super().v2_on_file_diff(result)

    def v2_runner_item_on_skipped(self, result):
        """See v2_runner_on_skipped."""

    def v2_runner_item_on_ok(self, result):
        """Items are reported with their task."""
        if self._display.verbosity:
            super().v2_runner_item_on_ok(result)

    def v2_runner_on_ok(self, result):
        """Show what changed, and count."""
        facts = result.result
        if facts.get("hold"):
            self.hold = facts["hold"]
            steps_file.write("hold", reason=self.hold)
        if self.current and self.current.state == "announced" and "held" in facts:
            self._begin(facts["held"])
            if facts.get("changed"):
                self._show_plan(facts["actions"])
            return
        waited = float(facts.get("waited_s") or 0) + sum(
            float(item.get("waited_s") or 0) for item in facts.get("results", []) if isinstance(item, dict)
        )
        if self.current:
            self.current.waited += waited
        note = facts.get("lock_note")
        if note:
            self._display.display(f"  note: {note}", color=constants.COLOR_WARN)
        if facts.get("say"):
            self._display.display(f"  {facts['say']}", color=constants.COLOR_OK)
        if facts.get("changed"):
            if self.current:
                self.current.changed += 1
            else:
                self.other_changed += 1
            if not self._display.verbosity:
                self._display.display(
                    f"  changed on {result.host.get_name()}: {result.task.get_name()}", color=constants.COLOR_CHANGED
                )
                for line in facts.get("did", []):
                    self._display.display(f"      {line}", color=constants.COLOR_CHANGED)
        if self._display.verbosity:
            super().v2_runner_on_ok(result)

    def _show_plan(self, actions):
        """In check mode, a step's planned actions count as its changes."""
        self.current.changed = len(actions)
        for item in actions:
            self._display.display(f"  {item['what']}", color=constants.COLOR_CHANGED)
            self._display.display(f"      {planner.show(item['before'])} -> {planner.show(item['after'])}")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Show the failure as a sentence, then what was asked."""
        facts = result.result
        message = str(facts.get("msg") or facts.get("reason") or "failed without a message").strip()
        self.failure = message.splitlines()[0]
        self._display.display(
            f"  FAILED on {result.host.get_name()}: {result.task.get_name()}", color=constants.COLOR_ERROR
        )
        for line in message.splitlines():
            self._display.display(f"    {line}", color=constants.COLOR_ERROR)
        if self._display.verbosity:
            super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_failed(self, result):
        """Show a failed item; the task follows."""
        self.v2_runner_on_failed(result)

    def v2_runner_on_unreachable(self, result):
        """Say which host does not answer."""
        message = str(result.result.get("msg", "")).strip()
        self.failure = f"{result.host.get_name()} cannot be reached"
        self._display.display(f"  UNREACHABLE {result.host.get_name()}: {message}", color=constants.COLOR_UNREACHABLE)

    # The end

    def v2_playbook_on_stats(self, stats):
        """One screen: what was done, how long it took, how much of that was waiting."""
        failed = any(stats.failures.values()) or any(stats.dark.values())
        self._close("failed" if failed else "done", self.failure or "")
        changed = sum(stage.changed for stage in self.stages) + self.other_changed
        total, waited = time.time() - self.begun, sum(stage.waited for stage in self.stages)
        steps_file.write(
            "run_finished",
            failed=failed,
            changed=changed,
            duration_s=round(total, 2),
            waited_s=round(waited, 2),
            reason=self.failure or "",
        )
        lines = [""]
        if self.stages:
            lines.append(f"  {'step':<58} {'changed':>7} {'time':>8} {'waited':>8}")
        for stage in self.stages:
            name = f"({stage.number}/6) {'Take back: ' if stage.undo else ''}{stage.name}"
            state = "" if stage.state == "done" else "  FAILED"
            lines.append(f"  {name:<58} {stage.changed:>7} {stage.duration:>6.1f} s {stage.waited:>6.1f} s{state}")
        verdict = f"failed: {self.failure}" if failed else "stopped" if self.hold else "done"
        if self.hold and not failed:
            lines.append(f"  {self.hold}")
        lines.append(f"  {verdict}; changed={changed}; {total - waited:.1f} s of work, {waited:.1f} s of waiting")
        self._display.display("\n".join(lines), color=constants.COLOR_ERROR if failed else constants.COLOR_OK)
