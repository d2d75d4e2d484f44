"""Where the migration stands, as data: from the journal and the lock, and beside it from what the hosts say themselves.

Used by the action `status`. It answers from whatever can be seen: during a run, beside a hung one, with hosts down.
Pure: an Environment, observations and a moment in, data out.
"""

from __future__ import annotations

import time
from collections import Counter

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import History
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    exported_platform,
    newest_word,
    planner,
    run_holds,
    seen_partners,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import window
from ansible_collections.xmppgw.migration.plugins.plugin_utils.picture import Picture
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_dns import SeenDns
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_state import SeenState


def describe(environment, seen, now, silent, is_gone=lambda _lock: False):
    """Return where the migration stands.

    `seen`: what the hosts that answered said; `silent`: host to why it did not; `is_gone`: tells of a lock whether its
    holder is known to have ended.
    """
    state, state_problem = _state(environment, seen)
    history, lock = (state.history, state.lock) if state else (None, None)
    plan, unknown = _plan(environment, seen, now)
    dns, dns_problem = _dns(environment, seen)
    homing, routes, exports, export_problem = _platforms(environment, seen, history or History(), now)
    gone = lock is not None and is_gone(lock)
    running = lock is not None and lock["expiry"] > now and not gone
    return {
        "schema": 1,
        "hosts": {host: silent.get(host, "answers") for host in sorted({*seen, *silent})},
        "problems": [problem for problem in (state_problem, unknown, dns_problem, export_problem) if problem],
        "steps": _steps(environment, history, plan, now, running=running),
        "waves": _waves(history),
        "users": _users(homing),
        "exports": exports,
        "srv": {} if dns is None else {domain: dns.rrset(domain) for domain in sorted(dns.rrsets)},
        "partners": [
            _partner(environment, seen, partner, state, plan, routes) for partner in environment.federation.partners
        ],
        "unlisted": seen_partners.unlisted(environment, seen),
        "lock": lock,
        "run": None if lock is None else _run(lock, now, running=running, gone=gone),
        "wait": _wait(lock, now) if running else None,
        "journal": None
        if state is None
        else {
            "records": len(state.records),
            "copy_lacks": len(state.missing),
            "last_run": history.runs[-1] if history.runs else None,
        },
    }


def _state(environment, seen):
    """Return (SeenState, problem); read from the copy where the authority does not answer."""
    holders = [host for host in (environment.authority, environment.copy) if "state" in seen.get(host, {})]
    if not holders:
        return None, f"the journal cannot be read: neither {environment.authority} nor {environment.copy} answers"
    states = {host: {"state": seen[holders[0]]["state"]} for host in (environment.authority, environment.copy)}
    states |= {host: {"state": seen[host]["state"]} for host in holders}
    problem = "" if len(holders) == 2 or environment.copy == environment.authority else f"read from {holders[0]} alone"
    try:
        return SeenState(environment, states, take_over=environment.copy), problem
    except PictureError as error:
        return None, f"[{error.code}] {error.text}"


def _plan(environment, seen, now):
    """Return (the plan of what is left, why it cannot be made)."""
    try:
        return whole_plan.plan_of(Picture(environment, seen, now, take_over=environment.copy)), ""
    except KeyError as missing:
        return None, f"what is left to do is unknown: nothing was heard of {missing.args[0]}"
    except PictureError as error:
        return None, f"what is left to do is unknown: [{error.code}] {error.text}"


def _dns(environment, seen):
    try:
        return SeenDns(environment, seen), ""
    except KeyError:
        return None, f"{environment.dns_writer} does not answer, so no name server was asked"
    except PictureError as error:
        return None, error.text


def _steps(environment, history, plan, now, *, running):
    found = []
    holds = {}
    if history is not None:
        picture_window = _window(environment, now)
        holds = run_holds.holds(environment.federation, history, (), picture_window)
    for number, name in planner.NAMES.items():
        actions = None
        if plan is not None:
            actions = next(len(step["actions"]) for step in plan["steps"] if step["number"] == number)
        found.append(
            {
                "number": number,
                "name": name,
                "state": _step_state(history, number, running=running),
                "done": history is not None and number in history.done,
                "since": None if history is None else history.step_times.get(number),
                "open_actions": actions,
                "hold": holds.get(number),
            }
        )
    return found


def _window(environment, now):
    described = environment.federation.maintenance_window
    if described is None:
        return window.Window(now=now)
    return window.Window(described.opens.timestamp(), described.closes.timestamp(), now)


def _step_state(history, number, *, running):
    if history is None:
        return "unknown"
    if number in history.opened:
        return "running" if running else "interrupted"
    return "done" if number in history.done else "open"


def _waves(history):
    """Return the waves of users that were begun: their size, whether each was seen healthy, and who had left then."""
    if history is None:
        return []
    return [
        {
            "name": name,
            "users": len(users),
            "state": "open" if name in history.waves_open else "done",
            "left": sorted(user for user in users if user in history.homes_left),
        }
        for name, users in sorted(history.waves.items())
    ]


def _platforms(environment, seen, history, now):
    """Return (homing tables, route tables, exports that they come from, problem): from the platforms that answered, or
    where the inventory has none from their exports."""
    if environment.platforms:
        answers = [host["platform"] for host in seen.values() if host.get("platform")]
        return [each["homing"] for each in answers], [each["route"] for each in answers], [], ""
    tables, exports, problems = {}, [], []
    for name in ("homing", "route"):
        try:
            tables[name] = [newest_word.table(environment, history, name)]
            files = exported_platform.sources(environment, name)
            exports += [{"table": name, "file": str(file), "age_s": round(max(now - at, 0))} for file, at in files]
        except PictureError as error:
            problems.append(f"[{error.code}] {error.text}")
    # None is not "no route" here: nobody knows, because somebody may be moving it.
    routes = [{domain: hop or "unknown" for domain, hop in table.items()} for table in tables.get("route", [])]
    return tables.get("homing", []), routes, exports, "; ".join(problems)


def _users(tables):
    """Return {home: users} over the platforms' tables; None where none was read."""
    if not tables:
        return None
    homes = Counter(home for table in tables for home in table.values())
    return {home: -(-count // len(tables)) for home, count in sorted(homes.items())}


def _partner(environment, seen, partner, state, plan, routes):  # noqa: PLR0917
    """Return both directions of a partner, its phase on every edge, and since when."""
    domain, own = partner.domain, set(environment.federation.own_domains)
    planned = next((item for item in (plan or {}).get("partners", []) if item["domain"] == domain), {})
    streams = [
        (edge, stream)
        for edge in environment.edges
        for stream in (seen_partners.answer_of(seen, edge, "streams").get("streams") or [])
        if stream.get("remote") in partner.domains
    ]
    legacy = [
        (direction, sender, receiver)
        for host in environment.legacy_hosts
        for direction, sender, receiver in seen.get(host, {}).get("legacy") or []
    ]
    switched = _last(state, "partner_switched", domain)
    return {
        "domain": domain,
        "outcome": planned.get("outcome"),
        "state": (switched or {}).get("state", "legacy"),
        "phase": {
            edge: (seen_partners.answer_of(seen, edge, "phases").get("phases") or {}).get(domain)
            for edge in environment.edges
        },
        "since": _moment(switched),
        "reason": (switched or {}).get("reason", ""),
        "held": state.history.held.get(domain) if state else None,
        "route": sorted({str(table.get(domain)) for table in routes}),
        "route_asked": state.history.routes_asked.get(domain) if state else None,
        "inbound": {
            "edges": _summary(streams, "in", spliced=False),
            "spliced": _summary(streams, "in", spliced=True),
            "legacy": sum(
                1 for way, sender, receiver in legacy if way == "in" and sender == domain and receiver in own
            ),
        },
        "outbound": {
            "edges": _summary(streams, "out", spliced=False),
            "legacy": sum(
                1 for way, sender, receiver in legacy if way == "out" and receiver == domain and sender in own
            ),
        },
    }


def _moment(switched):
    """Return when a partner came to where it is, as its own record says; the journal hears of it a little later."""
    if switched is None or "at" not in switched:
        return (switched or {}).get("time")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(switched["at"]))


def _summary(streams, direction, *, spliced):
    found = [
        stream
        for _edge, stream in streams
        if stream.get("direction") == direction and (stream.get("method") == "spliced") == spliced
    ]
    return {"streams": len(found), "since": min((item["since"] for item in found if item.get("since")), default=None)}


def _last(state, event, domain):
    records = state.records if state else []
    return next((item for item in reversed(records) if item["event"] == event and item.get("partner") == domain), None)


def _run(lock, now, *, running, gone):
    """Return who runs, since when, and when it last gave a sign of life."""
    return {
        "owner": lock["owner"],
        "host": lock["host"],
        "pid": lock["pid"],
        "since": lock["start_text"],
        "running": running,
        "gone": gone,
        "silent_s": round(max(0.0, now - lock["renewed"]), 1) if "renewed" in lock else None,
        "expires_in_s": round(lock["expiry"] - now, 1),
    }


def _wait(lock, now):
    """Return what the run waits for now, as its lock says, or None."""
    doing = lock.get("doing") or {}
    if "until" not in doing or doing["until"] <= now:
        return None
    return {"step": doing.get("step"), "reason": doing["reason"], "left_s": round(doing["until"] - now, 1)}
