"""Judge what the partners answered to our edges: proved, unproved and expected, excepted by name, or a failure."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import proofs
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/judge_proofs.py."""

    def act(self, args, task_vars):
        """Return the verdicts and the journal's records of them; where required, fail with all failures at once."""
        partners = {partner["domain"]: partner for partner in args["partners"]}
        results = [(result["federation_edge"], result["answers"]) for result in args["results"]]
        verdicts = proofs.judge_all(results, partners.values(), at_switch=bool(args.get("at_switch")))
        for domain, verdict in verdicts.items():
            display.display(
                f"      {domain}: {verdict['outcome']} ({verdict['why']})", color="green" if verdict["good"] else "red"
            )
        bad = [f"{domain} from {item['edge']}: {item['why']}" for domain, item in verdicts.items() if not item["good"]]
        bodies = [body for domain, verdict in verdicts.items() for body in records(partners[domain], verdict)]
        if bad and args.get("required", True):
            return {
                "failed": True,
                "code": "migration-partner",
                "msg": "[migration-partner] Our stream could not be authenticated at every partner:\n    "
                + "\n    ".join(bad)
                + "\n    now:   repair what is named here (firewall, DNS, certificate, the partner's own policy), or "
                "hold the partner back (partner.yml -e partner=DOMAIN -e do=hold), or name a proof_exception in the "
                "federation document; then run migrate.yml again.",
            }
        planned = set(args.get("planned") or [])
        return {"changed": bool(planned & set(verdicts)), "bodies": bodies, "verdicts": verdicts}


def records(partner, verdict):
    """Return the journal's records of one verdict; an exception is noted with whose it is."""
    proof = {
        "event": "partner_proved",
        "partner": partner["domain"],
        "outcome": verdict["outcome"],
        "why": verdict["why"],
        "fingerprint": partner["fingerprint"],
    }
    if verdict["outcome"] != "excepted":
        return [proof]
    return [proof, {"event": "partner_excepted", "partner": partner["domain"], **partner["exception"]}]
