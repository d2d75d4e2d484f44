"""Judge what the partners answered to our edges: proved, unproved and expected, or a failure."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import proofs
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/judge_proofs.py."""

    def act(self, args, task_vars):
        """Return the journal's records of the proofs; fail with all failures at once."""
        verdicts, partners = {}, {}
        for result in args["results"]:
            edge, partner = result["federation_pair"]
            partners[partner["domain"]] = partner
            verdict = proofs.judge(result["answer"], partner, dns_points_here=bool(args.get("dns_points_here")))
            verdicts.setdefault(partner["domain"], []).append({**verdict, "edge": edge})
        final = {domain: proofs.worst(found) for domain, found in sorted(verdicts.items())}
        for domain, verdict in final.items():
            display.display(
                f"      {domain}: {verdict['outcome']} ({verdict['why']})", color="green" if verdict["good"] else "red"
            )
        bad = [
            f"{domain} from {verdict['edge']}: {verdict['why']}"
            for domain, verdict in final.items()
            if not verdict["good"]
        ]
        bodies = [
            {
                "event": "partner_proved",
                "partner": domain,
                "outcome": verdict["outcome"],
                "why": verdict["why"],
                "fingerprint": partners[domain]["fingerprint"],
            }
            for domain, verdict in final.items()
        ]
        if bad:
            return {
                "failed": True,
                "code": "migration-partner",
                "msg": "[migration-partner] Our stream could not be authenticated at every partner:\n    "
                + "\n    ".join(bad)
                + "\n    now:   repair what is named here (firewall, DNS, certificate, the partner's own policy), "
                "then run migrate.yml again.",
            }
        planned = set(args.get("planned") or [])
        return {
            "changed": bool(planned & set(final)),
            "bodies": bodies,
            "outcomes": {d: v["outcome"] for d, v in final.items()},
        }
