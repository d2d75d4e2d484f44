"""What one run knows of itself and of what it is to do: who runs it, the lock it asks for, and what the steps need.

Used by every action that starts a run (`plan` and those of other playbooks). Reads a Picture; changes nothing.
"""

from __future__ import annotations

import getpass
import math
import os
import platform
import time
import uuid

from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    plan_dns,
    plan_users,
    planner,
    seen_partners,
    whole_plan,
)

from xmppgw.federation import srv_name

LOCK_SECONDS = 900
"""For all that has a short end of its own; to it comes the longest of what has not (`silent_s`)."""
RECORDS_SECONDS = 3600
"""As long as a person may take to set the records of one domain (dns_cutover_manual_seconds)."""
READ_BACK_SECONDS = 180
"""As long as the slowest provider may take until every server has them (dns_azure)."""
ROUTE_SECONDS = 600
"""How long a platform is watched for a route that a person moves, unless `-e watch` says (sip_route_watch_seconds)."""
USER_SECONDS = 10
"""For one user of a wave in a script on the management host: it looks, moves and looks again. A wave is one task."""
PROOF_SECONDS = 30
"""As long as one partner may take to answer (federation_connect_seconds)."""
PROOFS_AT_A_TIME = 16
"""Partners that one edge tries side by side (AT_A_TIME of prove_partners)."""


NOBODY = "no-legacy-gateway.invalid"
"""A name that no resolver has (RFC 2606)."""
APPLIES = "migrate"
"""The verb of a run that brings what stands to what the document says; it notes in the journal which document."""


def who_runs(picture, verb):
    """Return who runs what, the lock it asks for, and `gone`: the run that holds the lock, if its process is no more.

    By its name, since the answer is given once, and somebody else may have taken the lock when it is used.
    """
    pid, started = controller_process()
    host = platform.node()
    who = f"{getpass.getuser()}@{host}"
    held = picture.state.lock
    identity = uuid.uuid4().hex
    return {
        "id": identity,
        "who": who,
        "verb": verb,
        "document": picture.environment.document_digest if verb == APPLIES else "",
        "gone": held.get("run", "") if held and holder_is_gone(held) else "",
        "tail": picture.state.tail,
        "missing": picture.state.missing,
        "restore": picture.state.restore,
        "lock": {
            "owner": who,
            "host": host,
            "pid": pid,
            "process_started": started,
            "run": identity,
            "start_text": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": LOCK_SECONDS + silent_s(picture.environment),
        },
    }


def silent_s(environment):
    """Return the longest time, in seconds, that may pass between two appends to the journal beyond what LOCK_SECONDS is
    for: nothing renews the lock meanwhile."""
    federation, edges = environment.federation, len(environment.edges)
    platforms, domains = len(environment.groups.get("platforms", [])), len(federation.own_domains)
    records = RECORDS_SECONDS if federation.dns.provider == "manual" else READ_BACK_SECONDS
    waves = federation.users.waves
    scripted = federation.homing.provider == "powershell" and environment.management
    moved = USER_SECONDS * max(waves.size, len(plan_users.pilots(federation))) if scripted else 0
    healthy = waves.health.timeout_seconds * (platforms + len(environment.front_ends))
    asked = ROUTE_SECONDS * max(1, platforms) if federation.routes.provider != "lab" else 0
    proofs = PROOF_SECONDS * edges * math.ceil(len(federation.partners) * domains / PROOFS_AT_A_TIME)
    return max(records * domains, environment.watch_s + moved + healthy, asked, proofs)


def of_no_step(picture, verb):
    """Return what a run takes that walks none of the six steps: who runs it, the plan without actions, and the facts.

    The keys are those of the action `plan`, whose result the playbooks that open and close a run read.
    """
    nothing = {
        **whole_plan.plan_of(picture),
        "steps": [{"number": number, "name": name, "actions": []} for number, name in planner.NAMES.items()],
    }
    return {
        "changed": False,
        "plan": nothing,
        "digest": "",
        "pending": {},
        "undo": {},
        "notes": [],
        "held": {},
        "accept": {"codes": [], "why": ""},
        "run": who_runs(picture, verb),
        **facts(picture, nothing),
    }


def facts(picture, plan):
    """Return what the steps need, computed once."""
    environment, federation = picture.environment, picture.environment.federation
    platforms = environment.platforms
    # The target's table first: until the legacy pool's follows, it still delivers to the user itself. The other way
    # round the two could send a message to each other.
    homes = environment.homes
    target_first = sorted(platforms, key=lambda host: (host != homes["target"], host))
    return {
        "journal": {"authority": environment.authority, "copy": environment.copy},
        "dns_writer": environment.dns_writer,
        "platforms": target_first,
        "route_platforms": [host for host in target_first if host in environment.route_platforms],
        # Where there is none to ask, no task is delegated there; one that is, must not reach this machine.
        "legacy_gateway": (environment.legacy_hosts or [NOBODY])[0],
        "management": environment.management,
        "proxies": environment.proxies,
        "done": picture.history.step,
        "stages": {host: picture.gateways.stage(host) for host in [*environment.front_ends, *environment.edges]},
        "proofs": picture.history.proofs,
        "before": picture.history.before,
        "homes": homes,
        "waves": plan_users.to_move(picture),
        "providers": {
            "homing": federation.homing.provider,
            "routes": federation.routes.provider,
            "drain": federation.drain.provider,
        },
        "rrsets": {str(step): rrsets_to_write(picture, plan, step) for step in (4, 6)},
        "changing": {srv_name(domain): ttl for domain, ttl in picture.history.changing.items()},
        "forgotten": picture.forgotten_at(),
        **seen_partners.run_facts(picture, plan),
        "own_domains": list(federation.own_domains),
        "control": {
            "edge": "/run/xmppgw-edge/control.sock",
            "front_end": "/run/xmppgw-frontend/control.sock",
        },
    }


def rrsets_to_write(picture, plan, step):
    """Return the SRV RRsets that a step writes, or whose change an earlier run announced and did not live to
    note."""
    planned = {item["subject"]: item for item in planner.all_actions(plan) if item["id"].startswith(f"{step}/srv/")}
    found = []
    for domain in picture.environment.federation.own_domains:
        seen, wanted = picture.dns.rrset(domain), plan_dns.wanted_rrsets(picture, domain)
        rrset = planned[domain]["after"] if domain in planned else None
        # What stands when the step begins: an earlier step of the same run may have changed it since it was seen.
        expect = planned[domain]["before"] if domain in planned else seen
        unfinished = f"{step}/srv/{domain}" in picture.history.before and domain in picture.history.changing
        if rrset is None and unfinished and step not in picture.history.done:
            rrset = wanted["lowered"] if step == 4 else wanted["after"]
        if rrset is not None:
            found.append({"domain": domain, "name": srv_name(domain), "rrset": rrset, "expect": expect})
    return found


def undo_facts(picture):
    """Return what stood before each step, as the journal has it, in the shape in which roles write it."""
    before = picture.history.before
    federation = picture.environment.federation
    seen = {domain: picture.dns.rrset(domain) for domain in federation.own_domains}
    return {
        # People had a chain signed for that key: without it they would begin anew.
        "public_key_stays": federation.certificates.public.issuer == "import",
        "waves_back": plan_users.to_move_back(picture),
        "rrsets_back": {
            str(step): [
                # Step 6 is taken back first: then step 4 finds what stood before step 6.
                rrset_back(
                    step,
                    domain,
                    before.get(f"6/srv/{domain}", seen[domain]) if step == 4 else seen[domain],
                    before[f"{step}/srv/{domain}"],
                )
                for domain in federation.own_domains
                if f"{step}/srv/{domain}" in before
            ]
            for step in (4, 6)
        },
    }


def rrset_back(step, domain, expect, rrset):
    """Return what the role needs to restore an RRset; `action` announces it, None if it stands already."""
    name = srv_name(domain)
    action = planner.action(step, "srv", domain, f"Restore {name}", expect, rrset) if rrset != expect else None
    return {"domain": domain, "name": name, "rrset": rrset, "expect": expect, "action": action}


def controller_process():
    """Return (pid, start time in clock ticks) of the ansible-playbook that this worker belongs to."""
    pid = os.getppid()
    return pid, process_start(pid)


def holder_is_gone(lock):
    """Return whether a lock's holder was a process of this machine that is no more; of another machine's nothing is
    known."""
    same_host = lock.get("host") == platform.node()
    return same_host and process_start(lock.get("pid") or 0) != lock.get("process_started")


def process_start(pid):
    """Return when a process started, in clock ticks since boot, or None if there is none."""
    try:
        with open(f"/proc/{int(pid)}/stat", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
