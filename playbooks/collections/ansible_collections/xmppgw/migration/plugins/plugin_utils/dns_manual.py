"""DNS provider `manual`: says which records are to be set, and leaves them to a person.

Used through dns_providers. `dns_rrset` then watches every authoritative server; a run that was stopped meanwhile finds
the records when it looks again.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages


class Manual:
    """See dns_providers."""

    read_back_seconds = None
    """As long as the operator allows: `dns_cutover_manual_seconds`."""

    def __init__(self, dns, world):
        self.dns = dns
        self.world = world

    @staticmethod
    def how(_dns):
        """Return how a change is made, for the plan."""
        return (
            "by hand: the run prints the records and waits until every authoritative server has them; nothing but the "
            "person who sets them compares what stands there"
        )

    def change(self, change):
        """Print what is to be set, as zone-file lines."""
        for line in instructions(change):
            self.world.say(line)


def instructions(change):
    """Return what a person has to do, line by line. Pure."""
    said = [f"Set this in the zone {change.zone}; the run goes on when every authoritative server serves it:"]
    said += [f"  remove  {line}" for line in dns_messages.lines(change.name, change.before).splitlines()]
    said += [f"  add     {line}" for line in dns_messages.lines(change.name, change.after).splitlines()]
    return said
