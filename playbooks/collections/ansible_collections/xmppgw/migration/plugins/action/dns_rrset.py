"""Change one SRV RRset through the document's DNS provider, and read it back from every authoritative server."""

from __future__ import annotations

import time

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    dns_messages,
    dns_providers,
    environment,
    rrsets,
    steps_file,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import Change, ChangeError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_world import World
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import AWAITED
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

READ_BACK_POLL = 0.3
"""Seconds between two looks while a transfer is under way."""
MANUAL_POLL = 5.0
"""Seconds between two looks while a person types; also how often the countdown is shown."""


display = Display()


class ActionModule(MigrationAction):
    """See modules/dns_rrset.py."""

    def act(self, args, task_vars):
        """Return before, after, and when the last server was seen to have changed."""
        federation = environment.read_document(self.setting(task_vars, "migration_document")).federation
        dns = federation.dns
        world = World(self, task_vars, federation, dict(self.setting(task_vars, "migration_authorities")))
        try:
            return self.change(dns, world, dns_providers.provider_of(dns, world), args)
        except (ChangeError, dns_providers.ProviderError) as problem:
            awaited = {"exit_status": AWAITED} if problem.code == "migration-dns-manual" else {}
            return {"failed": True, "code": problem.code, "msg": f"[{problem.code}] {problem}", **awaited}

    def change(self, dns, world, provider, args):
        """Compare, change, read back."""
        name, after = args["name"], args["rrset"]
        zone = dns_messages.zone_of(name, dns.zones)
        first = dns.primary or dns.authoritative[0]
        standing = world.look(first, zone, name)
        before = standing["rrset"]
        result = {
            "changed": before != after,
            "name": name,
            "before": before,
            "after": after,
            "negative_ttl": standing["negative_ttl"] or 0,
            "diff": {"before": dns_messages.lines(name, before), "after": dns_messages.lines(name, after)},
        }
        if before != after:
            foreign = rrsets.differences(args["expect"], before) if "expect" in args else []
            if foreign:
                return refuse(
                    "migration-foreign-srv",
                    f"Somebody else changed {name} since the plan was made; {first} shows: {'; '.join(foreign)}.",
                    "Find out who, then make a new plan and look at it. Nothing was written.",
                )
            if self.checking:
                return result
            provider.change(Change(zone, name, before, after, standing["soa"]))
        if not self.checking:
            limit = provider.read_back_seconds or float(args.get("manual_seconds") or 3600)
            watch = Watch(name, limit, by_hand=provider.read_back_seconds is None)
            result["served_until"], result["waited_s"] = watch.until_served(dns, world, before, after)
        return result


class Watch:
    """Waits until every authoritative server serves an RRset."""

    def __init__(self, name, limit, *, by_hand):
        self.name = name
        self.limit = limit
        self.by_hand = by_hand
        self.poll = MANUAL_POLL if by_hand else READ_BACK_POLL
        self.reason = f"somebody has to set {name}"

    def until_served(self, dns, world, before, after):
        """Return (epoch second at which the last server was seen to have changed, seconds waited by hand)."""
        started, told = time.time(), False
        while True:
            served = self.served(dns, world)
            behind = sorted(server for server, rrset in served.items() if rrset != after)
            waited = time.time() - started
            if not behind:
                if told:
                    steps_file.write("wait_finished", number=None, reason=self.reason, waited_s=round(waited, 2))
                return time.time(), round(waited, 2) if told else 0.0
            self.refuse_foreign(served, before, after)
            if waited > self.limit:
                raise self.too_long(served, behind)
            if self.by_hand:
                if not told:
                    steps_file.write("wait_started", number=None, reason=self.reason, seconds=self.limit)
                    told = True
                words = f"waiting {self.limit - waited:4.0f} s more for {', '.join(behind)}: {self.reason}"
                display.display(f"      {words}", color="cyan")
            time.sleep(self.poll)

    def served(self, dns, world):
        """Return {server: RRset}."""
        questions = [dns_messages.question(server, self.name, "SRV") for server in dns.authoritative]
        answers = world.exchange(questions)
        return {
            server: dns_messages.read_rrset(answer, self.name, "SRV")["rrset"]
            for server, answer in zip(dns.authoritative, answers, strict=True)
        }

    def refuse_foreign(self, served, before, after):
        """Raise ChangeError if a server has neither the old RRset nor the new one: somebody else writes, too.

        By hand, a half-finished edit looks like that, so only the countdown shows it then.
        """
        strange = sorted(server for server, rrset in served.items() if rrset not in (before, after))
        if strange and not self.by_hand:
            words = "; ".join(rrsets.differences(after, served[strange[0]]))
            raise ChangeError(
                "migration-foreign-srv",
                f"While {self.name} was being changed, {strange[0]} came to serve something else: {words}. Find out "
                f"who writes there, then run again.",
            )

    def too_long(self, served, behind):
        """Return the error for a wait that is over its limit."""
        shown = rrsets.show(served[behind[0]])
        if self.by_hand:
            text = (
                f"After {self.limit:.0f} s {', '.join(behind)} still serves {shown} for {self.name}. Set the records "
                f"that were printed and run again: the run goes on where it was."
            )
            return ChangeError("migration-dns-manual", text)
        text = (
            f"After {self.limit:.0f} s {', '.join(behind)} still serves {shown} for {self.name}. The primary has the "
            f"new RRset; repair the transfer and run again."
        )
        return ChangeError("migration-read-back", text)


def refuse(code, reason, hint):
    """Return a refusal."""
    return {"failed": True, "code": code, "msg": f"[{code}] {reason}\n    now:   {hint}"}
