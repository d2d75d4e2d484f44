"""Change one SRV RRset by compare and swap, and read it back from every authoritative server by its own address."""

from __future__ import annotations

import time

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, environment
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

ATTEMPTS = 5
"""Updates sent when only the zone's serial moves under us."""
READ_BACK_LIMIT = 30.0
"""Seconds until every authoritative server must serve the new RRset: NOTIFY and a transfer take well under one."""
READ_BACK_POLL = 0.3

display = Display()


class ActionModule(MigrationAction):
    """See modules/dns_rrset.py."""

    def act(self, args, task_vars):
        """Return before, after, and when the last server was seen to have changed."""
        dns = environment.read_document(self.setting(task_vars, "migration_document")).federation.dns
        name, after = args["name"], args["rrset"]
        zone = dns_messages.zone_of(name, dns.zones)
        standing = self.look(dns.primary, zone, name, task_vars)
        before = standing["rrset"]
        difference = {"before": dns_messages.lines(name, before), "after": dns_messages.lines(name, after)}
        result = {
            "changed": before != after,
            "name": name,
            "before": before,
            "after": after,
            "negative_ttl": standing["negative_ttl"] or 0,
            "diff": difference,
        }
        if before != after:
            if "expect" in args and not same_records(before, args["expect"]):
                return refuse(
                    "migration-foreign-srv",
                    f"{name} was planned from {show(args['expect'])}, but {dns.primary} now serves {show(before)}.",
                    "Somebody else changed it. Make a new plan and look at it.",
                )
            if self.checking:
                return result
            self.swap(dns, zone, name, standing=standing, after=after, task_vars=task_vars)
        if not self.checking:
            result["served_until"] = self.read_back(dns, name, after, task_vars)
        return result

    def exchange(self, packets, task_vars):
        """Carry packets from the DNS writer; return the answers."""
        return self.remote("dns_exchange", {"packets": packets}, task_vars)["answers"]

    def look(self, server, zone, name, task_vars):
        """Return {rrset, soa, negative_ttl} as one server has them."""
        questions = [dns_messages.question(server, name, "SRV"), dns_messages.question(server, zone, "SOA")]
        srv, soa = self.exchange(questions, task_vars)
        apex = dns_messages.read_rrset(soa, zone, "SOA")
        return {
            "rrset": dns_messages.read_rrset(srv, name, "SRV")["rrset"],
            "soa": apex["soa"],
            "negative_ttl": apex["negative_ttl"],
        }

    def swap(self, dns, zone, name, *, standing, after, task_vars):
        """Send the update; if only the serial moved, read again and retry."""
        secrets_file = self.setting(task_vars, "migration_secrets")
        key = {
            "name": dns.tsig.name,
            "algorithm": dns.tsig.algorithm,
            "secret": environment.read_secret(secrets_file, f"tsig/{dns.tsig.secret}"),
        }
        before, outcome = standing["rrset"], ""
        for _attempt in range(ATTEMPTS):
            packet, read = dns_messages.swap(zone, name, before, after, soa=standing["soa"], key=key)
            outcome = read(self.exchange([{**packet, "server": dns.primary}], task_vars)[0])
            if outcome == "NOERROR":
                return
            if outcome not in ("NXRRSET", "YXRRSET"):
                break
            standing = self.look(dns.primary, zone, name, task_vars)
            if standing["rrset"] != before:
                raise PictureError(
                    "migration-write-conflict",
                    f"{name} changed under us: planned from {show(before)}, now {show(standing['rrset'])}. Nothing "
                    f"was written.",
                )
        raise PictureError(
            "migration-dns-update", f"{dns.primary} answered the update of {name} with {outcome}; nothing was written."
        )

    def read_back(self, dns, name, after, task_vars):
        """Wait until every authoritative server serves `after`; return the epoch second at which the last one was
        seen to."""
        started = time.time()
        while True:
            questions = [dns_messages.question(server, name, "SRV") for server in dns.authoritative]
            answers = self.exchange(questions, task_vars)
            served = {
                server: dns_messages.read_rrset(answer, name, "SRV")["rrset"]
                for server, answer in zip(dns.authoritative, answers, strict=True)
            }
            behind = sorted(server for server, rrset in served.items() if rrset != after)
            if not behind:
                return time.time()
            if time.time() - started > READ_BACK_LIMIT:
                raise PictureError(
                    "migration-read-back",
                    f"After {READ_BACK_LIMIT:.0f} s {', '.join(behind)} still serves {show(served[behind[0]])} for "
                    f"{name}. "
                    f"The primary has the new RRset; repair the transfer and run again.",
                )
            display.vv(f"{name}: waiting for {', '.join(behind)}")
            time.sleep(READ_BACK_POLL)


def same_records(one, other):
    """Return True if two RRsets have the same records, whatever their TTL."""
    return (one or {}).get("records") == (other or {}).get("records")


def show(rrset):
    """Return an RRset in one line."""
    return "nothing" if rrset is None else f"TTL {rrset['ttl']} {'; '.join(rrset['records'])}"


def refuse(code, reason, hint):
    """Return a refusal."""
    return {"failed": True, "code": code, "msg": f"[{code}] {reason}\n    now:   {hint}"}
