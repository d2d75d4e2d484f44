"""Plan, DNS: the SRV RRsets that steps 4 and 6 write.

Called by whole_plan. Pure but for `planned`, which reads the Picture.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, rrsets

from xmppgw.federation import records, srv_name


def planned(picture):
    """Return the changes of every SRV RRset of ours."""
    return [
        item
        for domain in picture.environment.federation.own_domains
        for item in dns_actions(
            domain,
            srv_name(domain),
            picture.dns.rrset(domain),
            wanted_rrsets(picture, domain),
            picture.history.done_for(domain),
        )
    ]


def wanted_rrsets(picture, domain):
    """Return {lowered, after}: what the RRset becomes in steps 4 and 6."""
    plan, name = records(picture.environment.document), srv_name(domain)
    legacy = [
        value.lower() for record in plan.now if (record.name, record.type) == (name, "SRV") for value in record.values
    ]
    ours = [
        value.lower() for record in plan.after if (record.name, record.type) == (name, "SRV") for value in record.values
    ]
    ttls = picture.environment.federation.dns.ttl
    ttl = ttls.migration
    seen = picture.dns.rrset(domain)
    after = rrsets.switched(seen, legacy, ours, ttls.normal if picture.history.settled else ttl)
    # Where the new targets stand already, what stood before them is in the journal.
    journalled = picture.history.before.get(f"6/srv/{domain}") if seen and seen["records"] == after["records"] else None
    return {"lowered": rrsets.lowered(journalled or seen, legacy, ttl), "after": after}


def dns_actions(domain, name, seen, plan, done):
    """Yield the changes of one SRV RRset: TTL lowered in step 4, targets changed in step 6.

    `seen` and `plan["lowered"]`, `plan["after"]`: {ttl, records: [text, ...]} or None.
    """
    stages = {4: plan["lowered"], 6: plan["after"]}
    words = {4: f"Lower the TTL of {name}", 6: f"Point {name} at the new edges"}
    for step, before, after in planner.staged(stages, seen, done):
        yield planner.action(step, "srv", domain, words[step], before, after)


def settling(picture):
    """Return the SRV RRsets that do not have their normal TTL yet, as they stand and as they will: zone after zone."""
    normal = picture.environment.federation.dns.ttl.normal
    return [
        {"domain": domain, "name": srv_name(domain), "rrset": {**seen, "ttl": normal}, "expect": seen}
        for domain in picture.environment.federation.own_domains
        if (seen := picture.dns.rrset(domain)) and seen["ttl"] != normal
    ]
