"""Look at our SRV records as the world sees them: serials, lag, signatures, and what each resolver says."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, dns_sight, environment
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

from xmppgw.federation import srv_name

display = Display()


class ActionModule(MigrationAction):
    """See modules/dns_view.py."""

    def act(self, args, task_vars):
        """Return {zones, problems, notices}; fail for a signature that does not hold."""
        federation = environment.read_document(self.setting(task_vars, "migration_document")).federation
        self.task_vars = task_vars
        zones, problems, notices = [], [], []
        for domain in federation.own_domains:
            name, zone = srv_name(domain), dns_messages.zone_of(domain, federation.dns.zones)
            if args["of"] == "authoritative":
                sight = self.authoritative(federation.dns, zone, name)
            else:
                signed = domain in (args.get("signed") or [])
                expected = (args.get("expected") or {}).get(domain)
                sight = self.resolvers(federation.dns, zone, name, signed=signed, expected=expected)
            problems += sight.pop("problems")
            notices += sight.pop("notices")
            zones.append({"domain": domain, "name": name, **sight})
        for zone in zones:
            if "serials" in zone:
                serials = ", ".join(f"{server} {serial}" for server, serial in zone["serials"].items())
                signed = "signed" if zone["signed"] else "not signed"
                display.display(f"      {zone['zone']} ({signed}): serial {serials}")
        for notice in notices:
            display.display(f"      {notice}", color="yellow")
        result = {"changed": False, "zones": zones, "problems": problems, "notices": notices}
        if problems:
            words = "\n    ".join(problems)
            hint = "repair the zone's signatures before anybody is sent elsewhere; then run again."
            return {
                **result,
                "failed": True,
                "code": "migration-dnssec",
                "msg": f"[migration-dnssec] A signed zone must stay valid:\n    {words}\n    now:   {hint}",
            }
        if args["of"] == "authoritative":
            result["signed"] = [zone["domain"] for zone in zones if zone["signed"]]
            result["served"] = {zone["domain"]: zone["rrset"] for zone in zones}
        return result

    def ask(self, packets):
        """Carry packets from the task's host."""
        return self.remote("dns_exchange", {"packets": packets}, self.task_vars)["answers"]

    def authoritative(self, dns, zone, name):
        """Return what the authoritative servers of one zone show."""
        packets = []
        for server in dns.authoritative:
            packets += [
                dns_messages.question_for_signatures(server, zone, "SOA"),
                dns_messages.question_for_signatures(server, name, "SRV"),
            ]
        answers = self.ask(packets)
        serials, records, signed = {}, {}, False
        for server, soa, srv in zip(dns.authoritative, answers[::2], answers[1::2], strict=True):
            serials[server] = dns_messages.read_rrset(soa, zone, "SOA")["serial"]
            signed = signed or dns_messages.read_answer(soa, zone, "SOA")["signed"]
            records[server] = dns_messages.read_answer(srv, name, "SRV")
        return {
            "zone": zone,
            "serials": serials,
            "signed": signed,
            "rrset": records[dns.primary or dns.authoritative[0]]["rrset"],
            "problems": dns_sight.unsigned(name, records) if signed else [],
            "notices": [f"{zone}: {sentence}" for sentence in dns_sight.lag(serials)],
        }

    def resolvers(self, dns, zone, name, *, signed, expected):
        """Return what each configured resolver says of one name, beside what the authoritative servers say."""
        answers = self.ask([dns_messages.question_to_resolver(server, name, "SRV") for server in dns.resolvers])
        said = dict(zip(dns.resolvers, (dns_sight.answered(answer, name) for answer in answers), strict=True))
        doubtful = [server for server, answer in said.items() if answer.get("rcode") == "SERVFAIL"]
        unchecked = self.ask(
            [dns_messages.question_to_resolver(s, name, "SRV", checking_disabled=True) for s in doubtful]
        )
        for server, answer in zip(doubtful, unchecked, strict=True):
            said[server]["unchecked"] = dns_sight.answered(answer, name)
        problems, notices = dns_sight.resolvers_say(name, said, expected, signed=signed)
        return {"zone": zone, "resolvers": said, "problems": problems, "notices": notices}
