"""The journal as a value: records chained by hash, and what they say when read from the first to the last.

Used by the `journal` module on the hosts and by the planner, the guards and status on the controller.
Never touches a file, a clock or a host.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

FIRST = "0" * 64
"""What the first record names as its predecessor."""


DECOMMISSION = 7
"""What the journal calls the end of the legacy gateway: it follows the six steps and is not one of them."""


class ChainError(Exception):
    """A journal that cannot be trusted. `code` is stable; `line` counts from 1."""

    def __init__(self, code, line, text):
        super().__init__(text)
        self.code = code
        self.line = line
        self.text = text


def canonical(value):
    """Return `value` as JSON text in one form only: sorted keys, no blanks, no escapes beyond JSON's own."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def seal(body, previous, number):
    """Return `body` as a full record: numbered, naming its predecessor's hash, and sealed with its own."""
    record = {key: value for key, value in body.items() if key not in ("hash", "previous", "n")}
    record["n"] = number
    record["previous"] = previous
    record["hash"] = hashlib.sha256(canonical(record).encode()).hexdigest()
    return record


def extend(records, bodies):
    """Return the sealed records that `bodies` become at the end of `records`."""
    previous, number = (records[-1]["hash"], records[-1]["n"]) if records else (FIRST, 0)
    sealed = []
    for body in bodies:
        number += 1
        record = seal(body, previous, number)
        sealed.append(record)
        previous = record["hash"]
    return sealed


def whole_lines(data):
    """Return what of a journal's octets ends with a newline.

    A last line without one is what a power cut leaves behind, perhaps in the middle of a character: it announced
    nothing, so it is left out.
    """
    return data[: data.rfind(b"\n") + 1]


def read_octets(data):
    """Return the records in a journal's octets; raise ChainError where the chain is broken."""
    whole = whole_lines(data)
    try:
        return read_lines(whole.decode())
    except UnicodeDecodeError as error:
        number = whole.count(b"\n", 0, error.start) + 1
        raise ChainError("migration-journal", number, f"line {number} is not UTF-8") from error


def read_lines(text):
    """Return the records in `text`; raise ChainError where the chain is broken.

    A last line without its newline is what a power cut leaves behind: it announced nothing, so it is left out.
    """
    records = []
    previous = FIRST
    complete, _newline, _torn = text.rpartition("\n")
    for line_number, line in enumerate(complete.split("\n") if complete else [], start=1):
        try:
            record = json.loads(line)
            stored = record["hash"]
            body = {key: value for key, value in record.items() if key != "hash"}
            found = hashlib.sha256(canonical(body).encode()).hexdigest()
        except (ValueError, KeyError, TypeError) as error:
            raise ChainError("migration-journal", line_number, f"line {line_number} is not a journal record") from error
        if record.get("previous") != previous:
            raise ChainError(
                "migration-journal",
                line_number,
                f"line {line_number} does not follow line {line_number - 1}: it names predecessor "
                f"{str(record.get('previous'))[:12]}, found {previous[:12]}",
            )
        if found != stored:
            raise ChainError("migration-journal", line_number, f"line {line_number} was changed after it was written")
        records.append(record)
        previous = stored
    return records


def missing_tail(authority, copy):
    """Return the records that `copy` lacks; raise ChainError if it is not the beginning of `authority`."""
    if len(copy) > len(authority):
        raise ChainError(
            "migration-journal",
            len(authority) + 1,
            f"the copy has {len(copy)} records, the authority only {len(authority)}: the authority lost some",
        )
    for number, (mine, theirs) in enumerate(zip(authority, copy, strict=False), start=1):
        if mine["hash"] != theirs["hash"]:
            raise ChainError("migration-journal", number, f"record {number} differs between authority and copy")
    return authority[len(copy) :]


@dataclass
class History:
    """What the journal says, folded: see `read_history`."""

    done: set = field(default_factory=set)
    """Steps that were finished and not undone since."""
    digest: str | None = None
    """Digest of the plan that the last migrate run applied, unless something was undone since."""
    plans: dict = field(default_factory=dict)
    """Digest to planned actions (`id` to `after`), since the last undo."""
    announced: dict = field(default_factory=dict)
    """Digest to ids of actions in steps that were opened under it, since the last undo."""
    before: dict = field(default_factory=dict)
    """Action id to the value that stood before it was first done; removed when it is undone."""
    waves: dict = field(default_factory=dict)
    """Wave to {user: home before it was first moved}, for every wave that was begun and not taken back, in order."""
    waves_open: set = field(default_factory=set)
    """Those of them that were not seen healthy since."""
    proofs: dict = field(default_factory=dict)
    """Partner to the latest authentication outcome of our outbound stream."""
    partners: dict = field(default_factory=dict)
    """Partner to its latest switch state: `gateway`, `legacy` or `static?`."""
    switches: dict = field(default_factory=dict)
    """Partner to the whole latest `partner_switched` record: state, reason, at, fingerprint."""
    held: dict = field(default_factory=dict)
    """Partner that is held back to the reason given."""
    relays: dict = field(default_factory=dict)
    """Partner to what the legacy gateway said when our edge relayed a wrong key to it: `invalid` is right."""
    settled: bool = False
    """The normal TTL was restored after step 6."""
    changing: dict = field(default_factory=dict)
    """SRV owner domain to the TTL that stood before, while a change was announced but not noted as seen everywhere."""
    served: list = field(default_factory=list)
    """(name, TTL in seconds, epoch second of the last server that stopped serving it)."""
    opened: set = field(default_factory=set)
    """Steps that were opened and neither finished nor undone since."""
    step_times: dict = field(default_factory=dict)
    """Step to when it was last opened, finished or undone (as the journal writes times)."""
    accepted: dict = field(default_factory=dict)
    """Guard's code to {what was found: {by, why}} that somebody accepted (`-e accept`)."""
    proxy_restarted: float = 0.0
    """When the legacy proxy was restarted last, so that partners connected anew (drain provider `powershell`)."""
    routes_asked: dict = field(default_factory=dict)
    """Partner whose route somebody was asked to move, and that was not seen since: {to, at}; `at` is the first time."""
    routes_seen: dict = field(default_factory=dict)
    """Partner to {to, at} of the last time when a route that somebody moved was seen where it should be."""
    waves_asked: dict = field(default_factory=dict)
    """Wave that somebody was asked to move, and that was not seen moved since: {back, at}; `at` is the first time."""
    homes_seen: dict = field(default_factory=dict)
    """User to (pool, epoch seconds): where a user was seen after somebody moved it."""
    homes_left: dict = field(default_factory=dict)
    """User of a wave to the epoch second at which the platform was seen not to know the user any more."""
    decommission_began: bool = False
    """Somebody accepted that there is no way back, and what ends the legacy gateway was begun."""
    native_gone: bool = False
    """The legacy gateway of a Microsoft platform was seen, or said by a person, to be switched off."""
    confirmed: set = field(default_factory=set)
    """Steps whose hold was confirmed, unless undone since."""
    upgrade: dict = field(default_factory=dict)
    """Host to {from, to, returned} of the newest upgrade: the releases' folder names, and whether it was seen taken
    back there."""
    returning: set = field(default_factory=set)
    """Hosts whose way back to the release before was begun, and that were not seen well with it since."""
    returned_last: bool = False
    """What `upgrade.yml` began last on a host was the way back."""
    runs: list = field(default_factory=list)
    """(time, who, verb) of every run."""
    applied: dict = field(default_factory=dict)
    """Of the last run that applied a document: its digest, when, and who."""

    @property
    def decommissioned(self):
        """Whether the legacy gateway was taken out of the federation."""
        return DECOMMISSION in self.done

    @property
    def no_way_back(self):
        """Whether no step, and no partner, can be given back to the legacy gateway any more: its end was begun."""
        return self.decommission_began or self.decommissioned

    @property
    def step(self):
        """The highest step such that it and all before it are done; 0 at the start."""
        number = 0
        while number + 1 in self.done:
            number += 1
        return number

    def done_for(self, domain):
        """Return the step up to which all is done for one SIP domain: a domain that became ours later begins anew."""
        if f"6/srv/{domain}" in self.before:
            return self.step
        return min(self.step, 5 if f"4/srv/{domain}" in self.before else 3)


def read_history(records):
    """Fold `records` into a History."""
    history = History()
    for record in records:
        event = record.get("event")
        if event == "run_started":
            history.runs.append((record["time"], record["who"], record["verb"]))
            if record.get("document"):
                history.applied = {key: record[key] for key in ("document", "time", "who")}
        elif event == "plan_adopted":
            history.digest = record["digest"]
            history.plans.setdefault(record["digest"], {}).update(
                {action["id"]: action.get("after") for action in record["actions"]}
            )
        elif event == "step_opened":
            if "step" in record:
                history.opened.add(record["step"])
                history.step_times[record["step"]] = record.get("time")
            ids = history.announced.setdefault(record["digest"], set())
            for action in record["actions"]:
                ids.add(action["id"])
                history.before.setdefault(action["id"], action.get("before"))
                if action.get("kind") == "srv":
                    history.changing[action["subject"]] = (action.get("before") or {}).get("ttl")
        elif event == "guard_overridden":
            by_found = history.accepted.setdefault(record["code"], {})
            by_found[record["found"]] = {"by": record.get("who", ""), "why": record["why"]}
        elif event == "hold_confirmed":
            history.confirmed.add(record["step"])
        elif event == "step_done":
            history.done.add(record["step"])
            history.opened.discard(record["step"])
            history.step_times[record["step"]] = record.get("time")
        elif event == "step_undone":
            history.done.discard(record["step"])
            history.confirmed.discard(record["step"])
            history.opened.discard(record["step"])
            history.step_times[record["step"]] = record.get("time")
            prefix = f"{record['step']}/"
            history.before = {key: value for key, value in history.before.items() if not key.startswith(prefix)}
            history.plans.clear()
            history.announced.clear()
            history.digest = None
            if record["step"] == 5:
                history.proofs.clear()
                history.relays.clear()
            if record["step"] == 6:
                history.switches.clear()
                history.settled = False
            if record["step"] == 3:
                history.waves.clear()
                history.waves_open.clear()
                history.waves_asked.clear()
        elif event == "wave_opened":
            _wave_asked(history, record, back=False)
            history.waves_open.add(record["wave"])
            homes = history.waves.setdefault(record["wave"], {})
            for home, users in record["before"].items():
                for user in users:
                    homes.setdefault(user, home)
        elif event == "wave_done":
            history.waves_open.discard(record["wave"])
            missing = {*record.get("failed", ()), *record.get("left", ())}
            _wave_seen(history, record, dict.fromkeys(set(record.get("users", ())) - missing))
        elif event == "wave_return_asked":
            _wave_asked(history, record, back=True)
            # From here on nobody knows until somebody looks: the plan of a run that goes forth again counts on them.
            before = history.waves.get(record["wave"], {})
            history.homes_seen.update({user: (home, record["at"]) for user, home in before.items()})
        elif event == "wave_undone":
            history.waves_open.discard(record["wave"])
            homes, left = history.waves.pop(record["wave"], {}), record.get("left", ())
            _wave_seen(history, record, {user: home for user, home in homes.items() if user not in left})
        elif event == "route_asked":
            standing = history.routes_asked.get(record["partner"])
            if standing is None or standing["to"] != record["to"]:
                history.routes_asked[record["partner"]] = {"to": record["to"], "at": record["at"]}
        elif event == "route_seen":
            history.routes_asked.pop(record["partner"], None)
            history.routes_seen[record["partner"]] = {"to": record["to"], "at": record["at"]}
        elif event == "decommission_began":
            history.decommission_began = True
        elif event == "native_gone":
            history.native_gone = True
        elif event == "rrset_changed":
            history.served.append((record["name"], record["ttl_before"], record["served_until"]))
            history.changing.pop(record["domain"], None)
        elif event == "partner_proved":
            history.proofs[record["partner"]] = {key: record[key] for key in ("outcome", "why", "fingerprint")}
        elif event == "partner_switched":
            history.partners[record["partner"]] = record["state"]
            history.switches[record["partner"]] = record
        elif event == "partner_held":
            history.held[record["partner"]] = record["why"]
        elif event == "partner_released":
            history.held.pop(record["partner"], None)
        elif event == "proxy_restarted":
            history.proxy_restarted = record["at"]
        elif event == "relay_checked":
            history.relays[record["partner"]] = record["answer"]
        elif event == "ttl_restored":
            history.settled = True
        elif event == "upgrade_begun":
            _upgrade_begun(history, record)
        elif event == "upgrade_found":
            history.upgrade = {host: dict(way) for host, way in record["hosts"].items()}
        elif event == "upgraded":
            _upgraded(history, record["host"])
    return history


def _upgrade_begun(history, record):
    """Note that a host was about to be switched; the way back leaves what was upgraded as it is: it can be repeated."""
    # COMPAT: until `back` was journalled a record named versions, not releases, and this on the way back.
    history.returned_last = record.get("back", record.get("to") == "the release before")
    if "back" not in record:
        return
    host = record["host"]
    if record["back"]:
        history.returning.add(host)
        return
    history.returning.discard(host)
    if record["from"] != record["to"]:
        going_on = {
            other: way
            for other, way in history.upgrade.items()
            if way["to"] == record["to"] and not way.get("returned")
        }
        history.upgrade = {**going_on, host: {"from": record["from"], "to": record["to"]}}


def _upgraded(history, host):
    """Note that a host was seen well after it was switched."""
    if host in history.returning and host in history.upgrade:
        history.upgrade[host]["returned"] = True
    history.returning.discard(host)


def _wave_asked(history, record, *, back):
    """Note since when somebody is asked for a wave, in one direction."""
    standing = history.waves_asked.get(record["wave"])
    if "at" in record and (standing is None or standing["back"] != back):
        history.waves_asked[record["wave"]] = {"back": back, "at": record["at"]}


def _wave_seen(history, record, homes):
    """Note where the users of a wave were seen: the pool that the record names, else each its own of `homes`."""
    history.waves_asked.pop(record["wave"], None)
    if "at" not in record:
        return
    for user, home in homes.items():
        history.homes_seen[user] = (record.get("pool") or home, record["at"])
        history.homes_left.pop(user, None)
    history.homes_left.update(dict.fromkeys(record.get("left", ()), record["at"]))
