"""Decide which certificates of a host are due, and have the host make keys and signing requests for them."""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuing, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/certificate_requests.py."""

    def act(self, args, task_vars):
        """Return the requests for what is missing, bad, due or asked for among the certificates chosen."""
        environment = self.environment(task_vars)
        everything = environment.wanted_host(task_vars["inventory_hostname"])
        chosen = {
            name: item
            for name, item in everything["certificates"].items()
            if (args.get("step") is None or item["step"] == int(args["step"]))
            and (args.get("up_to") is None or item["step"] <= int(args["up_to"]))
            and (not args.get("names") or name in args["names"])
            and (not args.get("issuers") or item["issuer"] in args["issuers"])
        }
        problems = self.problems(chosen, environment, task_vars)
        if args.get("renew"):
            problems = {name: problems.get(name) or "renewal asked for" for name in chosen}
        bad = {name: chosen[name] for name in sorted(problems)}
        if not bad or self.checking:
            return {"changed": bool(bad), "problems": problems, "requests": {}}
        made = self.remote("key_and_request", {"certificates": bad, "user": everything["user"]}, task_vars)
        return {
            "changed": made["changed"],
            "problems": problems,
            "requests": made["requests"],
            "did": made.get("did", []),
        }

    def problems(self, chosen, environment, task_vars):
        """Return {name: what is wrong}. What preflight saw still holds: only a run that holds the lock makes keys."""
        now = datetime.datetime.now(datetime.UTC)
        seen = task_vars["hostvars"][task_vars["inventory_hostname"]]["migration_seen"]["seen"]["gateway"]
        found = {
            name: issuing.problem_of(
                seen["certificates"].get(name), item, wanted.roots(environment.authorities, item), now
            )
            for name, item in chosen.items()
        }
        return {name: problem for name, problem in found.items() if problem}
