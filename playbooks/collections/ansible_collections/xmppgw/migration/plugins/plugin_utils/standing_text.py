"""Where the migration stands, as one screen of plain lines. Pure: what `standing.describe` returns in, lines out."""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, rrsets
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import some


def lines(status):
    """Return the status as one screen of text."""
    text = ["", "  step"]
    for step in status["steps"]:
        more = f", {step['open_actions']} to do" if step["open_actions"] else ""
        since = f" since {step['since']}" if step["since"] and step["state"] in ("running", "interrupted") else ""
        text.append(f"  ({step['number']}/{len(planner.NAMES)}) {step['name']:<52} {step['state']}{since}{more}")
        if step["hold"]:
            text.append(f"        {step['hold']}")
    if status["wait"]:
        wait = status["wait"]
        text += ["", f"  waiting   {wait['left_s']:.0f} s more: {wait['reason']}"]
    homes = status["users"]
    users = ", ".join(f"{count} on {home}" for home, count in (homes or {}).items())
    users = users or ("unknown" if homes is None else "none")
    text += ["", f"  users     {users}"]
    text += [
        f"  export    {export['table']} from {export['file']}, {_age(export['age_s'])} old"
        for export in status["exports"]
    ]
    text += [
        f"  wave      {wave['name']}: {wave['users']} users, {wave['state']}"
        + (f"; left the platform: {some(wave['left'])}" if wave["left"] else "")
        for wave in status["waves"]
    ]
    text += [f"  SRV       {domain}: {rrsets.show(rrset)}" for domain, rrset in status["srv"].items()]
    for partner in status["partners"]:
        text += _partner(partner)
    if status["unlisted"]:
        names = some(status["unlisted"])
        text.append(f"  unlisted  {names}: seen at the legacy gateway, no partner of the document; nobody switches it")
    text += _run(status)
    text += [f"  silent    {host}: {why}" for host, why in status["hosts"].items() if why != "answers"]
    text += [f"  problem   {problem}" for problem in status["problems"]]
    return text


def _partner(partner):
    """Return the lines of one partner: where it stands, then both directions."""
    since = f" since {partner['since']}" if partner["since"] else ""
    head = f"  partner   {partner['domain']}: {partner['state']}{since}"
    if partner.get("reason"):
        head += f" ({partner['reason']})"
    if partner.get("held") is not None:
        head += f", held: {partner['held']}"
    if partner["outcome"]:
        head += f", {partner['outcome']}"
    phases = [
        f"{edge} {phase['phase']}{_clock(phase.get('since'))}" for edge, phase in partner["phase"].items() if phase
    ]
    inbound, outbound = partner["inbound"], partner["outbound"]
    ways = [
        f"in: {_streams(inbound['edges'])} at our edges, {_streams(inbound['spliced'])} spliced, "
        f"{inbound['legacy']} at legacy",
        f"out: route {'/'.join(partner['route']) or 'unknown'}; {_streams(outbound['edges'])} at our edges, "
        f"{outbound['legacy']} at legacy",
    ]
    if asked := partner.get("route_asked"):
        ways.append(f"somebody was asked to move its route to {asked['to']}{_clock(asked['at'])}; not seen yet")
    if phases:
        ways.insert(0, f"phase: {', '.join(phases)}")
    return [head, *(f"            {way}" for way in ways)]


def _age(seconds):
    """Return how long ago something was, in the largest unit that fits."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _streams(summary):
    return f"{summary['streams']}{_clock(summary['since'])}"


def _clock(epoch):
    if epoch is None:
        return ""
    return " (since " + datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") + ")"


def _run(status):
    run, journal = status["run"], status["journal"]
    if run is None:
        text = ["  lock      free" if journal is not None else "  lock      unknown"]
    else:
        sign = "" if run["silent_s"] is None else f"; last sign of life {run['silent_s']:.0f} s ago"
        left = "left behind by a process that is gone," if run["gone"] else "left behind, expired,"
        state = "held" if run["running"] else left
        text = [
            f"  lock      {state} by {run['owner']} (process {run['pid']} on {run['host']}, since {run['since']}){sign}"
        ]
    if journal is None:
        return [*text, "  journal   cannot be read"]
    lacks = f", {journal['copy_lacks']} not on the copy yet" if journal["copy_lacks"] else ""
    text.append(f"  journal   {journal['records']} records{lacks}")
    if journal["last_run"]:
        when, who, verb = journal["last_run"]
        text.append(f"  last run  {verb} by {who} at {when}")
    return text
