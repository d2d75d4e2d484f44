"""Gives ansible-playbook an exit status of its own, for what is neither success nor failure.

An action that returns `exit_status: N` ends the run with N, unless the run failed anyway. `drift` says 3 when something
differs; a certificate that is awaited says 6. Ansible itself uses 0, 1, 2, 4, 8, 99, 250 and 255.
"""

from __future__ import annotations

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: exit_status
type: notification
short_description: An exit status for what is neither success nor failure
description:
  - Ends the run with the C(exit_status) that a task returned.
"""


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "xmppgw.migration.exit_status"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.asked = 0
        self.of_item = 0
        self.last_failure = 0
        """What the last task that failed asked for."""
        self.said = {}
        """Message of a failure to what it asked for: a rescue that gives up says the same again."""

    def v2_runner_on_ok(self, result):
        """Note what a task asks for."""
        self.asked = status_of(result) or self.asked

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A failed task may ask for a status too: it then says what kind of end this is."""
        message = result.result.get("msg")
        self.last_failure = status_of(result) or self.of_item or self.said.get(message, 0)
        self.of_item, self.said[message] = 0, self.last_failure
        self.asked = self.last_failure or self.asked

    def v2_runner_on_unreachable(self, result):
        """Whoever is not reached asks for nothing."""
        self.last_failure = 0

    def v2_runner_item_on_failed(self, result):
        """So may an item of a loop; its task does not repeat what it asked for."""
        self.of_item = status_of(result) or self.of_item

    def v2_playbook_on_stats(self, stats):
        """The last thing that Ansible says. It catches exceptions here, but lets an exit pass."""
        failed = any(stats.failures.values()) or any(stats.dark.values())
        if self.asked and (self.last_failure or not failed):
            raise SystemExit(self.asked)


def status_of(result):
    """Return the status that a result asks for; 0 is none."""
    return int(result.result.get("exit_status") or 0)
