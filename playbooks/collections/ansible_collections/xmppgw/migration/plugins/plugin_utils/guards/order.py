"""Guards on the order of the steps."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard


@guard("migration-order")
def steps_in_order(situation):
    """The documented order: each step rests on the one before."""
    if situation.preflight or situation.done >= situation.step - 1:
        return []
    return [
        Refusal(
            "migration-order",
            f"Step {situation.step} rests on step {situation.step - 1}.",
            f"the journal says that steps up to {situation.done} are done",
            f"Run migrate.yml; it starts with step {situation.done + 1}.",
        )
    ]
