"""Decide what a run of partner.yml does: with whom, whether it may, and what the journal is told before."""

from __future__ import annotations

import dataclasses

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    guards,
    plan_partners,
    run_facts,
    seen_partners,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/partner_plan.py."""

    def act(self, args, task_vars):
        """Return the run's facts, as the action `plan` does, with `chosen`, `announce`, `to_switch`, `to_return`."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        try:
            return self.decide(picture, args)
        except plan_partners.PartnerRefusalError as refusal:
            return {"failed": True, "code": refusal.code, "msg": f"[{refusal.code}] {refusal.text}"}

    def decide(self, picture, args):
        """Choose and plan; raise PartnerRefusalError."""
        do, history = str(args["do"]), picture.history
        plan_partners.may(do, step_6_done=6 in history.done, no_way_back=history.no_way_back)
        # No step is left to be judged here, but what holds as long as both gateways stand holds for this switch, too.
        refusals = guards.judge_all(guards.situation_of(picture, 0, preflight=True), []) if do == "switch" else []
        if refusals:
            return {"failed": True, "code": refusals[0].code, "msg": guards.explain(refusals)}
        run = run_facts.of_no_step(picture, f"partner {do}")
        chosen = plan_partners.choose(
            run["partners"], partner=str(args.get("partner") or ""), group=str(args.get("group") or "")
        )
        announce = plan_partners.records_of(do, chosen, why=str(args.get("why") or f"{do} by {run['run']['who']}"))
        switching = []
        if do == "switch":
            switching = [item for item in chosen if not item["switched"]]
            actions = [action for item in switching for action in self.actions(picture, item)]
            actions += seen_partners.restarts(picture, [item["domain"] for item in switching])
            announce.append({"event": "step_opened", "digest": "", "actions": actions})
        for item in chosen:
            display.display(f"  {do}: {item['domain']}")
        return {
            **run,
            "chosen": [item["domain"] for item in chosen],
            "announce": announce,
            "to_switch": switching,
            "to_return": plan_partners.to_give_back(do, chosen),
        }

    def actions(self, picture, item):
        """Return what switching one partner does, for the journal: rollback finds there what stood before."""
        partner = next(p for p in picture.environment.federation.partners if p.domain == item["domain"])
        here = seen_partners.standing(picture, partner)
        released = dataclasses.replace(here, held=None)
        actions = seen_partners.actions_of(item, released, dns_moves=True, retry=True)
        return [action for action in actions if action["step"] == 6]
