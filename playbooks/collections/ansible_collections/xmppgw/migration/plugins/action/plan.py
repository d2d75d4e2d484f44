"""Guards, plan and digest: decides whether this run may start, and what it is to do."""

from __future__ import annotations

import getpass
import json
import os
import platform
import time
import uuid
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards, planner, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import (
    MigrationAction,
    controller_process,
    process_start,
)

from xmppgw.federation import srv_name

LOCK_SECONDS = 900
"""The lock outlives the longest wait of one step in the lab; every append to the journal renews it."""


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
        plan = picture.plan(until)
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
            picture.situation(0, preflight=True), [int(step) for step, open_ in pending.items() if open_]
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
            "run": self.run_facts(picture, args),
            **self.facts(picture, plan),
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
            **picture.plan(),
            "steps": [{"number": n, "name": name, "actions": []} for n, name in planner.NAMES.items()],
        }
        return {
            "changed": False,
            "plan": plan,
            "digest": "",
            "undo": undo,
            "pending": {},
            "run": self.run_facts(picture, args),
            **self.facts(picture, plan),
            **self.undo_facts(picture),
        }

    def undo_facts(self, picture):
        """Return what stood before each step, as the journal has it, in the shape in which roles write it."""
        before = picture.history.before
        federation = picture.environment.federation
        homes = picture.environment.homes
        seen = {domain: picture.rrset(domain) for domain in federation.own_domains}
        users = {key.removeprefix("3/homing/"): value for key, value in before.items() if key.startswith("3/homing/")}
        routes = {key.removeprefix("6/route/"): value for key, value in before.items() if key.startswith("6/route/")}
        return {
            "homing_back": [
                {"key": user, "value": home or homes.get("legacy")} for user, home in sorted(users.items())
            ],
            "routes_back": [
                {"key": domain, "value": None if route == "none" else route} for domain, route in sorted(routes.items())
            ],
            "rrsets_back": {
                str(step): [
                    {
                        "domain": domain,
                        "name": srv_name(domain),
                        "rrset": before[f"{step}/srv/{domain}"],
                        # Step 6 is taken back first: then step 4 finds what stood before step 6.
                        "expect": before.get(f"6/srv/{domain}", seen[domain]) if step == 4 else seen[domain],
                    }
                    for domain in federation.own_domains
                    if f"{step}/srv/{domain}" in before
                ]
                for step in (4, 6)
            },
        }

    def refuse(self, code, reason, hint):
        """Return a refusal."""
        return {"failed": True, "code": code, "msg": f"[{code}] {reason}\n    now:   {hint}"}

    def write(self, plan, folder):
        """Write plan.json and plan.md."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"plan.json": json.dumps(plan, indent=2) + "\n", "plan.md": planner.to_markdown(plan)}
        for name, text in texts.items():
            temporary = folder / f".{name}.{os.getpid()}"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(folder / name)

    def run_facts(self, picture, args):
        """Return who runs what, the lock it asks for, and whether the lock's present holder is gone."""
        pid, started = controller_process()
        host = platform.node()
        who = f"{getpass.getuser()}@{host}"
        held = picture.lock or {}
        gone = held.get("host") == host and process_start(held.get("pid") or 0) != held.get("process_started")
        identity = uuid.uuid4().hex
        return {
            "id": identity,
            "who": who,
            "verb": args.get("verb", "migrate"),
            "holder_is_gone": bool(held) and gone,
            "tail": picture.tail,
            "missing": picture.missing,
            "restore": picture.restore,
            "lock": {
                "owner": who,
                "host": host,
                "pid": pid,
                "process_started": started,
                "run": identity,
                "start_text": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": LOCK_SECONDS,
            },
        }

    def facts(self, picture, plan):
        """Return what the steps need, computed once."""
        environment, federation = picture.environment, picture.environment.federation
        platforms = sorted(environment.groups["platforms"])
        # The target's table first: until the legacy pool's follows, it still delivers to the user itself. The other way
        # round the two could send a message to each other.
        homes = environment.homes
        target_first = sorted(platforms, key=lambda host: (host != homes["target"], host))
        return {
            "journal": {"authority": environment.authority, "copy": environment.copy},
            "dns_writer": environment.dns_writer,
            "platforms": target_first,
            "legacy_gateway": sorted(environment.groups["legacy_gateway"])[0],
            "done": picture.history.step,
            "stages": {host: picture.stage(host) for host in [*environment.front_ends, *environment.edges]},
            "proofs": picture.history.proofs,
            "before": picture.history.before,
            "moves": {
                **homes,
                "users": [item["subject"] for item in planner.all_actions(plan) if item["kind"] == "homing"],
            },
            "rrsets": {str(step): self.rrsets(picture, plan, step) for step in (4, 6)},
            "changing": {srv_name(domain): ttl for domain, ttl in picture.history.changing.items()},
            "to_switch": [item["subject"] for item in planner.all_actions(plan) if item["kind"] == "drain"],
            "to_prove": [item["subject"] for item in planner.all_actions(plan) if item["kind"] == "prove"],
            "partners": [
                {
                    "domain": partner.domain,
                    "dialback": partner.dialback,
                    "fingerprint": picture.fingerprint(partner),
                    "allowed": next(item["allowed"] for item in plan["partners"] if item["domain"] == partner.domain),
                }
                for partner in federation.partners
            ],
            "own_domains": list(federation.own_domains),
            "control": {
                "edge": "/run/xmppgw-edge/control.sock",
                "front_end": "/run/xmppgw-frontend/control.sock",
            },
        }

    def rrsets(self, picture, plan, step):
        """Return the SRV RRsets that a step writes, or whose change an earlier run announced and did not live to
        note."""
        planned = {item["subject"]: item for item in planner.all_actions(plan) if item["id"].startswith(f"{step}/srv/")}
        found = []
        for domain in picture.environment.federation.own_domains:
            seen, wanted = picture.rrset(domain), picture.wanted_rrsets(domain)
            rrset = planned[domain]["after"] if domain in planned else None
            unfinished = f"{step}/srv/{domain}" in picture.history.before and domain in picture.history.changing
            if rrset is None and unfinished and step not in picture.history.done:
                rrset = wanted["lowered"] if step == 4 else wanted["after"]
            if rrset is not None:
                found.append({"domain": domain, "name": srv_name(domain), "rrset": rrset, "expect": seen})
        return found
