"""Guards, plan and digest: decides whether this run may start, and what it is to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    guards,
    plan_text,
    planner,
    run_facts,
    steps_file,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/plan.py."""

    def act(self, args, task_vars):
        """Return the run's facts: plan, steps, lock, journal tail."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        verb = args.get("verb") or "migrate"
        if verb == "rollback":
            return self.plan_rollback(picture, args)
        until = int(args.get("last_step") or 6)
        plan = whole_plan.plan_of(picture, until)
        done = picture.history.done
        pending = {str(step["number"]): bool(step["actions"]) or step["number"] not in done for step in plan["steps"]}
        wanted_digest = args.get("digest") or ""
        resumed = ""
        if wanted_digest and wanted_digest != plan["digest"]:
            same, reason = planner.resumes(plan, wanted_digest, picture.history)
            if not same:
                return self.refuse(
                    "migration-plan",
                    f"The plan {wanted_digest[:16]}… is not what a run would do now: {reason}.",
                    "Run `make plan`, read what it says, and give its digest.",
                )
            resumed = wanted_digest
        refusals = guards.judge_all(
            guards.situation_of(picture, 0, preflight=True), [int(step) for step, open_ in pending.items() if open_]
        )
        if refusals:
            return {
                "failed": True,
                "code": refusals[0].code,
                "refusals": [refusal.as_dict() for refusal in refusals],
                "msg": guards.explain(refusals),
            }
        if not resumed:
            self.write(plan, Path(self.setting(task_vars, "migration_output")) / "plan")
        actions = planner.all_actions(plan)
        digest = resumed or plan["digest"]
        steps_file.write("plan", digest=digest, actions=len(actions), done=sorted(done))
        return {
            "changed": False,
            "diff": planner.as_diff(actions),
            "plan": plan,
            "digest": digest,
            "pending": pending,
            "run": run_facts.who_runs(picture, args.get("verb") or "migrate"),
            **run_facts.facts(picture, plan),
        }

    def plan_rollback(self, picture, args):
        """Return the run's facts for rollback: which steps are to be taken back, and what stood before each."""
        to = int(args["to"])
        if not 0 <= to <= 5:
            return self.refuse(
                "migration-rollback", f"`to` must be 0 to 5, found {to}.", "Give the step to go back to."
            )
        history = picture.history
        begun = {int(key.partition("/")[0]) for key in history.before} | history.done
        undo = {str(number): number > to and number in begun for number in planner.NAMES}
        plan = {
            **whole_plan.plan_of(picture),
            "steps": [{"number": n, "name": name, "actions": []} for n, name in planner.NAMES.items()],
        }
        return {
            "changed": False,
            "plan": plan,
            "digest": "",
            "undo": undo,
            "pending": {},
            "run": run_facts.who_runs(picture, args.get("verb") or "migrate"),
            **run_facts.facts(picture, plan),
            **run_facts.undo_facts(picture),
        }

    def refuse(self, code, reason, hint):
        """Return a refusal."""
        return {"failed": True, "code": code, "msg": f"[{code}] {reason}\n    now:   {hint}"}

    def write(self, plan, folder):
        """Write plan.json and plan.md."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"plan.json": json.dumps(plan, indent=2) + "\n", "plan.md": plan_text.to_markdown(plan)}
        for name, text in texts.items():
            temporary = folder / f".{name}.{os.getpid()}"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder / name)
