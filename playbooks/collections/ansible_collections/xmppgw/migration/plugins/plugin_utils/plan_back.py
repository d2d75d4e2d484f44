"""Plan of the way back: what taking steps back changes on hosts, platforms and in DNS, in the order of doing it.

Called by the action `plan` for rollback.yml, whose check mode shows it. Actions have the shape of planner.action; the
journal knows nothing of them. What leaves nothing behind (drains, waits) is not in it, as in the plan forth the proofs.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import some

CLOSED = "disabled"


def planned(picture, undo, facts, back):
    """Return {step: [action]} for the steps that are taken back.

    `undo`: step, as text, to whether it is. `facts` and `back`: run_facts.facts and run_facts.undo_facts.
    """
    hosts, returning = _Hosts(picture), facts["to_return"] if undo["6"] else []
    steps = {
        6: lambda: [*_routes(picture, 6, returning), *_records(back["rrsets_back"]["6"])],
        5: lambda: [*_routes(picture, 5, facts["before_dns_back"], given=returning), *hosts.at(5, 4, hosts.every)],
        4: lambda: [
            *hosts.at(4, 3, hosts.front_ends),
            *hosts.without_certificates(4, back["public_key_stays"]),
            *_records(back["rrsets_back"]["4"]),
        ],
        3: lambda: list(_homes(picture, back["waves_back"])),
        2: lambda: list(hosts.at(2, 2, hosts.edges, stopped=True)),
        1: lambda: list(hosts.at(1, 1, hosts.front_ends, stopped=True)),
    }
    # The last step is taken back first, and what one leaves is what the next one finds.
    return {number: steps[number]() if undo[str(number)] else [] for number in sorted(steps, reverse=True)}


def left_out(picture, undo):
    """Return sentences on what an earlier document had moved and this one does not name: nobody would give it back.

    Sorted. A partner whose route leads elsewhere by now needs nothing.
    """
    federation = picture.environment.federation
    listed = {"route": {partner.domain for partner in federation.partners}, "srv": set(federation.own_domains)}
    found = set()
    for key in picture.history.before:
        step, kind, subject = key.split("/", 2)
        if not undo[step] or subject in listed.get(kind, {subject}):
            continue
        if kind == "srv":
            found.add(f"the SRV records of {subject}")
        elif _leads_to_us(picture, subject):
            found.add(f"the SIP route of {subject}")
    return sorted(found)


def _leads_to_us(picture, partner):
    routes = {table.get(partner) for table in picture.platforms.tables("route").values()}
    return "target" in routes or (routes <= {None} and picture.history.partners.get(partner) == "gateway")


class _Hosts:
    """The gateway hosts as they will be after each step that is taken back."""

    def __init__(self, picture):
        environment = picture.environment
        self.front_ends, self.edges = environment.front_ends, environment.edges
        self.every = [*self.front_ends, *self.edges]
        self.wanted = {host: wanted.digests(environment.wanted_host(host)) for host in self.every}
        seen = {host: picture.gateways.seen_on(host) for host in self.every}
        self.files = {host: dict(seen[host]["files"]) for host in self.every}
        self.units = {host: dict(seen[host]["units"]) for host in self.every}
        self.certificates = {host: seen[host].get("certificates") or {} for host in self.every}

    def at(self, step, stage, hosts, *, stopped=False):
        """Yield what brings `hosts` back to `stage`, as gateway_host does."""
        for host in hosts:
            standard = self.wanted[host]
            for path, stages in sorted(standard["files"].items()):
                after, before = wanted.at_stage(stages, stage), self.files[host].get(path)
                if after is not None and after != before:
                    self.files[host][path] = after
                    yield planner.action(
                        step, "file", f"{host}:{path}", f"Write {path} on {host} as it was", before, after, host
                    )
            for name, stages in sorted(standard["units"].items()):
                after, before = CLOSED if stopped else wanted.at_stage(stages, stage), self.units[host].get(name)
                if after is not None and after != before:
                    self.units[host][name] = after
                    what = f"Stop {name} on {host}" if after == CLOSED else f"Start {name} on {host}"
                    yield planner.action(step, "unit", f"{host}:{name}", what, before, after, host)

    def without_certificates(self, step, key_stays):
        """Yield the public certificates that are removed, with their keys unless these stay."""
        for host in self.edges:
            names = [name for name, item in self.wanted[host]["certificates"].items() if item["step"] == step]
            for name in sorted(names):
                if self.certificates[host].get(name):
                    what = f"Remove the certificate {name} and its key from {host}"
                    if key_stays:
                        what = (
                            f"Remove the certificate {name} from {host}; its key, for which the chain was signed, stays"
                        )
                    yield planner.action(step, "certificate", f"{host}:{name}", what, "there", None, host)


def _routes(picture, step, partners, given=()):
    """Yield the routes that go back; those of partners whom a later step has `given` back stand already."""
    done = {partner["domain"] for partner in given}
    for partner in partners:
        domain, after = partner["domain"], partner["route_before"]
        if domain in done:
            continue
        tables = picture.platforms.tables("route")
        standing = {tables[host].get(domain) for host in tables if host in picture.environment.route_platforms}
        for before in sorted(standing - {after}, key=str):
            what = f"Give the SIP route of {domain} back to the legacy gateway"
            yield planner.action(step, "route", domain, what, before, after)


def _records(rrsets):
    return [item["action"] for item in rrsets if item["action"]]


def _homes(picture, waves):
    now = {key: home for table in picture.platforms.tables("homing").values() for key, home in table.items()}
    for wave in waves:
        moving = [entry["key"] for entry in wave["entries"] if now.get(entry["key"]) != entry["value"]]
        if moving:
            gone = f"; not on the platform any more: {some(wave['left'])}" if wave["left"] else ""
            what = f"Home the {len(moving)} users of {wave['wave']} where they were{gone}"
            yield planner.action(3, "homing", wave["wave"], what, {"users": len(moving)}, {"back": sorted(moving)})
