"""Have a host make keys and requests, sign the requests here, and put the chains beside the keys."""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuing, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/certificate.py."""

    def act(self, args, task_vars):
        """Renew what is missing or bad among the certificates of one step."""
        host, step = task_vars["inventory_hostname"], int(args["step"])
        environment = self.environment(task_vars)
        everything = environment.wanted_host(host)
        of_step = {name: item for name, item in everything["certificates"].items() if item["step"] == step}
        now = datetime.datetime.now(datetime.UTC)
        # What preflight saw still holds: only a run that holds the lock makes keys.
        seen = task_vars["hostvars"][host]["migration_seen"]["seen"]["gateway"]["certificates"]
        problems = {}
        for name, item in of_step.items():
            authority = wanted.authority_certificate(environment.authorities, item["authority"])
            problem = issuing.problem_of(seen.get(name), item, authority, now)
            if problem:
                problems[name] = problem
        if not problems or self.checking:
            return {"changed": bool(problems), "problems": problems, "issued": []}
        bad = {name: of_step[name] for name in sorted(problems)}
        for name, item in bad.items():
            if item["issuer"] != "private_ca":
                raise PictureError(
                    "migration-issuer",
                    f"{name} certificate: issuer {item['issuer']} is not available in this version; use private_ca.",
                )
        requests = self.remote("key_and_request", {"certificates": bad, "user": everything["user"]}, task_vars)[
            "requests"
        ]
        chains = {
            name: issuing.issue(
                requests[name], item, issuing.load_authority(environment.authorities[item["authority"]]), now
            )
            for name, item in bad.items()
        }
        self.remote("key_and_request", {"certificates": bad, "user": everything["user"], "chains": chains}, task_vars)
        return {"changed": True, "problems": problems, "issued": sorted(bad)}
