"""Where the world differs from what document and journal say it is: hosts, DNS, users, routes, certificates, journal.

Used by the action `drift`. Pure: a Picture and verdicts in, a sorted list of differences out. Whatever a step that is
done would do again is a difference, and so is what stands that no step has put there yet.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_dns, planner, wanted, whole_plan
from ansible_collections.xmppgw.migration.plugins.plugin_utils.damaged_journal import difference
from ansible_collections.xmppgw.migration.plugins.plugin_utils.plan_text import show

from xmppgw.federation import records, srv_name

KINDS = {
    "install": "release",
    "file": "file",
    "certificate": "certificate",
    "unit": "unit",
    "secret": "dialback secret",
    "homing": "user",
    "srv": "dns",
    "route": "route",
    "prove": "partner",
    "drain": "partner",
    "restart": "partner",
}
"""Kind of a planned action to the word for the difference."""


def differences(picture, verdicts=()):
    """Return every difference, sorted."""
    found = [
        *_undone(picture),
        *_ahead(picture),
        *_dns(picture),
        *_addresses(picture),
        *_journal(picture),
        *_document(picture),
        *_legacy(picture),
        *(
            difference(
                "certificate", f"{item['name']} seen from {item['from']}", f"[{one['code']}] {one['text']}", "good"
            )
            for item in verdicts
            for one in item["findings"]
        ),
    ]
    return sorted(found, key=lambda item: (item["kind"], item["subject"], item["found"]))


def _undone(picture):
    done = picture.history.done
    for item in planner.all_actions(whole_plan.plan_of(picture)):
        if item["step"] in done:
            yield difference(
                KINDS.get(item["kind"], item["kind"]),
                item["subject"],
                show(item["before"]),
                show(item["after"]),
                step=item["step"],
            )


def _ahead(picture):
    """What a step would do that the journal does not know as done, and that stands nevertheless."""
    around, step = picture.environment, picture.history.step
    for host in [*around.front_ends, *around.edges]:
        seen = picture.gateways.seen_on(host)
        plain = wanted.digests(around.wanted_host(host))
        if seen.get("version") and step < plain["step"] and plain["step"] not in picture.history.done:
            running = [name for name, state in seen["units"].items() if state.startswith("enabled")]
            if running:
                yield difference("unit", f"{host}:{', '.join(sorted(running))}", "runs", "not deployed yet")
        stages = plain["files"][plain["settings"]]
        stage = planner.observed_stage(stages, seen["files"].get(plain["settings"]))
        if stage > step >= plain["step"]:
            yield difference("file", f"{host}:{plain['settings']}", f"as of step {stage}", f"as of step {step}")


def _dns(picture):
    around, done = picture.environment, picture.history.done
    for domain in around.federation.own_domains:
        name, by_server = srv_name(domain), picture.dns.rrsets[domain]
        for server, rrset in sorted(by_server.items()):
            if rrset != picture.dns.rrset(domain):
                yield difference(
                    "dns", f"{name} on {server}", show(rrset), f"as on the primary: {show(picture.dns.rrset(domain))}"
                )
        after = plan_dns.wanted_rrsets(picture, domain)["after"]
        seen = picture.dns.rrset(domain)
        if 6 not in done and seen and seen["records"] == after["records"] and domain not in picture.history.changing:
            yield difference("dns", name, f"points at our edges: {show(seen)}", "points at the legacy gateway")


def _addresses(picture):
    """Partners are told of our edges' names from step 6 on; before it the names may not be there yet."""
    if 6 not in picture.history.done:
        return
    plan = {(record.name, record.type): record.values for record in records(picture.environment.document).after}
    for (name, kind, server), seen in sorted(picture.dns.addresses.items()):
        expected = sorted(value.lower() for value in plan.get((name, kind), ()))
        if seen != expected:
            yield difference("dns", f"{name} {kind} on {server}", show(seen) or "nothing", show(expected) or "nothing")


def _document(picture):
    applied = picture.history.applied
    if applied and applied["document"] != picture.environment.document_digest:
        yield difference(
            "document",
            "federation document",
            f"content {picture.environment.document_digest[:12]}",
            f"content {applied['document'][:12]}, applied by {applied['who']} on {applied['time']}",
        )


def _legacy(picture):
    """After its end the legacy gateway does not come back: whoever finds it would be answered by nobody we know.

    Only the lab's can be looked at.
    """
    if picture.history.decommissioned:
        for host in picture.environment.legacy_hosts:
            if (picture.seen.get(host) or {}).get("legacy_off") is False:
                yield difference("legacy gateway", host, "runs", "decommissioned, switched off")


def _journal(picture):
    if picture.state.missing:
        yield difference(
            "journal",
            picture.environment.copy,
            f"{len(picture.state.missing)} records behind {picture.environment.authority}",
            "the same records",
        )


def lines(found):
    """Return the differences as text."""
    if not found:
        return ["  No difference: document, hosts, DNS, certificates and journal agree."]
    shown = [f"  {len(found)} differences:"]
    for item in found:
        shown += [f"  {item['kind']} {item['subject']}"]
        shown += [f"      found:    {item['found']}", f"      expected: {item['expected']}"]
    return shown
