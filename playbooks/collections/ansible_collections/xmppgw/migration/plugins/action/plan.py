"""Guards, plan and digest: decides whether this run may start, and what it is to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.utils.vars import load_extra_vars
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    guards,
    plan_back,
    plan_outlook,
    plan_text,
    planner,
    run_facts,
    run_holds,
    steps_file,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import acceptance
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction, as_bool

REHEARSAL = "rehearsal"
"""What the journal calls such a run: one that was killed goes on as one."""


class ActionModule(MigrationAction):
    """See modules/plan.py."""

    def act(self, args, task_vars):
        """Return the run's facts: plan, steps, lock, journal tail."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        verb = args.get("verb") or "migrate"
        folder = Path(self.setting(task_vars, "migration_output")) / "plan"
        if verb == "rollback":
            return self.plan_rollback(picture, args, folder)
        self.check_scenario(picture, task_vars, args)
        verb = REHEARSAL if as_bool(task_vars.get("rehearsal")) else verb
        return self.plan_migration(picture, args, verb, folder)

    def plan_migration(self, picture, args, verb, folder):
        """Return the run's facts for the six steps; refused, they are written and shown all the same."""
        codes = acceptance.asked(args.get("accept"), args.get("reason"))
        confirmed = run_holds.confirmed_steps(args.get("confirm"))
        until = last_step(args, picture)
        # Whole, wherever this run stops: a digest that was approved for all six steps is good for the first four.
        plan = whole_plan.plan_of(picture)
        history = picture.history
        unfinished = [step["number"] for step in plan["steps"] if step["actions"] or step["number"] not in history.done]
        pending = {str(step["number"]): step["number"] in unfinished for step in plan["steps"][:until]}
        run = run_facts.who_runs(picture, verb)
        situation = guards.situation_of(picture, 0, preflight=True)
        accepted, remaining = acceptance.sort(
            guards.judge_all(situation, unfinished), codes, args.get("reason"), run["who"], history.accepted
        )
        hold = run_holds.first_hold(
            run_holds.holds(
                picture.environment.federation,
                history,
                confirmed,
                situation.window,
                any_time="migration-window" in codes,
            ),
            pending,
        )
        of_this_run = guards.of_this_run(
            situation, [step for step in unfinished if step <= until], hold[0] if hold else None
        )
        refusals = [refusal for refusal in remaining if refusal in of_this_run]
        later = [refusal for refusal in remaining if refusal not in refusals]
        plan = plan_outlook.with_outlook(plan, picture, accepted, refusals, hold, later=later)
        plan["last_step"] = until
        result = guards.outcome(0, refusals, accepted)
        steps_file.write("guards", **result)
        if refusals:
            self.write(plan, folder)
            return {
                "failed": True,
                "code": refusals[0].code,
                "refusals": [refusal.as_dict() for refusal in refusals],
                "msg": guards.explain(refusals),
            }
        resumed = self.resumed(plan, args.get("digest") or "", history)
        if not resumed:
            self.write(plan, folder)
        actions = planner.all_actions(plan)
        digest = resumed or plan["digest"]
        steps_file.write("plan", digest=digest, actions=len(actions), done=sorted(history.done))
        return {
            "changed": False,
            "diff": planner.as_diff(actions),
            "plan": plan,
            "digest": digest,
            "pending": {step: open_ and not (hold and int(step) >= hold[0]) for step, open_ in pending.items()},
            "held": {"step": hold[0], "why": hold[1]} if hold else {},
            "accept": {"codes": codes, "why": str(args.get("reason") or "")},
            "notes": [item.as_record() for item in accepted if item.new]
            + [{"event": "hold_confirmed", "step": step} for step in confirmed if step not in history.confirmed],
            "guards": result,
            "run": run,
            **run_facts.facts(picture, plan),
        }

    def check_scenario(self, picture, task_vars, args):
        """Refuse the playbook of the other scenario, and a rehearsal of what has begun."""
        scenario, wanted = picture.environment.federation.scenario.value, args.get("scenario") or ""
        rehearsal = as_bool(task_vars.get("rehearsal"))
        runs = picture.history.runs
        unfinished = bool(runs) and runs[-1][2] == REHEARSAL
        if wanted and not rehearsal and wanted != scenario:
            playbook = {"replace": "migrate.yml", "coexist": "coexist.yml"}[scenario]
            raise PictureError(
                "migration-scenario", f"The document's scenario is {scenario}: run playbooks/{playbook} for it."
            )
        if rehearsal and "rehearsal" not in load_extra_vars(self._loader):
            # An inventory that says so would walk there, and the way back is chosen before an inventory is read.
            raise PictureError("migration-rehearsal", "A rehearsal is asked for by -e rehearsal=true, by nothing else.")
        if rehearsal and picture.history.done and not unfinished:
            raise PictureError(
                "migration-rehearsal",
                f"Steps {', '.join(map(str, sorted(picture.history.done)))} are done: a rehearsal comes before the "
                "first of them.",
            )

    def resumed(self, plan, wanted_digest, history):
        """Return the digest of the earlier plan that this run finishes, or nothing; raise PictureError."""
        if not wanted_digest or wanted_digest == plan["digest"]:
            return ""
        same, reason = planner.resumes(plan, wanted_digest, history)
        if not same:
            raise PictureError(
                "migration-plan",
                f"The plan {wanted_digest[:16]}… is not what a run would do now: {reason}.\n    now:   Run `make "
                "plan`, read what it says, and give its digest.",
            )
        return wanted_digest

    def plan_rollback(self, picture, args, folder):
        """Return the run's facts for rollback: which steps are to be taken back, and what stood before each.

        Writes back.json: what taking them back will change, step by step.
        """
        text = str(args.get("to", ""))
        if not (text.isdigit() and 0 <= int(text) <= 5):
            raise PictureError(
                "migration-rollback", f"`to` must be 0 to 5, found {text!r}: give the number of steps that stay done."
            )
        to = int(text)
        history = picture.history
        if history.no_way_back:
            how_far = "was decommissioned" if history.decommissioned else "is being decommissioned"
            raise PictureError(
                "migration-decommissioned",
                f"The legacy gateway {how_far}. That was the point of no return: nothing is left to go back to.",
            )
        begun = {int(key.partition("/")[0]) for key in history.before} | history.done
        undo = {str(number): number > to and number in begun for number in planner.NAMES}
        if left := plan_back.left_out(picture, undo):
            raise PictureError(
                "migration-left-out",
                f"These would stay moved, for the document does not name them any more: {'; '.join(left)}.\n    "
                "now:   Put them back into the document, take the steps back, and leave them out then.",
            )
        plan = {
            **whole_plan.plan_of(picture),
            "steps": [{"number": n, "name": name, "actions": []} for n, name in planner.NAMES.items()],
        }
        facts, back = run_facts.facts(picture, plan), run_facts.undo_facts(picture)
        actions = plan_back.planned(picture, undo, facts, back)
        steps = [{"number": number, "actions": actions[number]} for number in actions]
        write(folder, {"back.json": json.dumps({"schema": 1, "to": to, "steps": steps}, indent=2) + "\n"})
        return {
            "changed": False,
            "plan": plan,
            "digest": "",
            "undo": undo,
            "back": {str(number): actions[number] for number in actions},
            "pending": {},
            "notes": [],
            "held": {},
            "accept": {"codes": [], "why": ""},
            "run": run_facts.who_runs(picture, args.get("verb") or "migrate"),
            **facts,
            **back,
        }

    def write(self, plan, folder):
        """Write plan.json, plan.md and plan.txt."""
        texts = {
            "plan.json": json.dumps(plan, indent=2) + "\n",
            "plan.md": plan_text.to_markdown(plan),
            "plan.txt": plan_text.to_text(plan),
        }
        write(folder, texts)


def write(folder, texts):
    """Write files ({name: text}), each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / name)


def last_step(args, picture):
    """Return the step after which this run stops: 1 to 6, and no later than 3 where only the pilot users move."""
    text = str(args.get("last_step") or 6)
    if not (text.isdigit() and 1 <= int(text) <= 6):
        raise PictureError("migration-until", f"last_step must be 1 to 6, found {text!r}.")
    return min(int(text), 3) if picture.pilot_only else int(text)
