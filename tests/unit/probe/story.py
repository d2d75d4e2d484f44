"""A migration as it might have gone, told in the probe's own lines: for tests of the report and for looking at it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from xmppgw.probe.events import Direction, Event, Kind, Relayed, StepLine
from xmppgw.probe.journal import Story, read_records, tell
from xmppgw.probe.ledger import Gateways
from xmppgw.probe.observations import STANDS_FOR, Certificate, Host, Observation, RecordSet, Service
from xmppgw.probe.report import Circumstances

START = 1_795_230_000.0
GATEWAYS = Gateways(
    legacy=frozenset({"legacy1.corp.example", "198.51.100.5"}),
    target=frozenset({"fe1.corp.example", "fe-pool.corp.example", "198.51.100.10"}),
)
STEPS = (  # number, start, end, waits
    (1, 8, 30, ()),
    (2, 31, 52, ()),
    (3, 53, 59, ()),
    (4, 60, 71, ()),
    (5, 72, 103, ((73, 91, "the old TTL of 15 s has passed"),)),
    (6, 104, 139, ((108, 112, "the TTL of 3 s has passed"), (120, 131, "both partners are quiet at the old gateway"))),
)
NAMES = ("Deploy the new pool", "Deploy the new edge", "Move all users", "Access policies and edge certificate",
         "Enable XMPP federation", "Update DNS and switch the partners")  # fmt: skip
PAIRS = (("partner1.example", "alice/juliet", 0), ("partner2.example", "bob/romeo", 3))


def step_lines() -> list[StepLine]:
    """The callback's lines of a good run."""
    lines = []
    for (number, start, end, waits), name in zip(STEPS, NAMES, strict=True):
        said = f"({number}/6) {name}"
        lines.append(StepLine(t=START + start, event="step_started", number=number, name=said))
        for begin, stop, reason in waits:
            lines.append(StepLine(t=START + begin, event="wait_started", number=number, reason=reason))
            lines.append(StepLine(t=START + stop, event="wait_finished", number=number))
        if number == 6:
            for partner, _, later in PAIRS:
                lines.append(
                    StepLine(
                        t=START + 118.3 + later, event="partner_switched", partner=partner, state="gateway", seconds=2.3
                    )
                )
        lines.append(StepLine(t=START + end, event="step_finished", number=number, name=said, changed=3 + number))
    return lines


def lines_of(seed: int = 1, length: float = 152.0) -> tuple[list[Event], dict[str, list[Relayed]]]:
    """Events and partners' stream logs of a run in which both partners move over in step 6."""
    chance = random.Random(seed)
    events: list[Event] = []
    relayed: dict[str, list[Relayed]] = {"partner1.example": [], "partner2.example": []}
    for partner, pair, later in PAIRS:
        for direction in ("sip_to_xmpp", "xmpp_to_sip"):
            moved = (116 if direction == "xmpp_to_sip" else 118) + later
            silent = (moved, moved + chance.uniform(0.15, 0.9))
            for n in range(int(length * 10)):
                _one(events, relayed[partner], chance, partner, pair, direction, n, moved, silent)
        sip, _, xmpp = pair.partition("/")
        for n in range(int(length / 2)):
            t = START + n * 2.0 + 0.3
            for direction, who, back in (
                ("sip_to_xmpp", f"{sip}/nobody", "returned"),
                ("xmpp_to_sip", f"nobody/{xmpp}", "returned"),
            ):
                events.append(_event(t, "sent", partner, who, direction, n, kind="unknown_user"))
                events.append(
                    _event(t + 0.03, back, partner, who, direction, n, kind="unknown_user", code="item-not-found")
                )
    for pair in ("nurse/friar", "friar/nurse"):
        for n in range(int(length * 10)):
            t = START + n * 0.1
            events.append(_event(t, "sent", "", pair, "control", n))
            events.append(_event(t + chance.uniform(0.003, 0.02), "received", "", pair, "control", n))
    return events, relayed


def _one(events, log, chance, partner, pair, direction, n, moved, silent):
    t = START + n * 0.1
    arrives = t + chance.lognormvariate(-4.3, 0.5)
    if silent[0] <= t - START < silent[1]:
        arrives = START + silent[1] + chance.uniform(0.01, 0.05)
    ours = t - START >= moved
    identifier = f"{direction}-{pair}-{n}"
    via = ("fe1.corp.example" if ours else "legacy1.corp.example") if direction == "xmpp_to_sip" else ""
    events.append(_event(t, "sent", partner, pair, direction, n, id=identifier))
    events.append(_event(arrives, "received", partner, pair, direction, n, id=identifier, via=via))
    if direction == "sip_to_xmpp":
        log.append(Relayed(id=identifier, address="198.51.100.10" if ours else "198.51.100.5", t=arrives))


def _event(
    t: float, e: str, partner: str, pair: str, direction: Direction, n: int, *, kind: Kind = "normal", **more: str
) -> Event:
    return Event(t=t, e=e, partner=partner, pair=pair, direction=direction, n=n, kind=kind, **more)


def journal_lines() -> bytes:
    """The journal of a run that was taken back once before, with what rooms of the migration write into it."""

    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(START + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def actions(number: int) -> list[dict[str, object]]:
        return [
            {"id": f"{number}/file/a", "step": number, "what": f"what step {number} does first, on <host>"},
            {"id": f"{number}/file/b", "step": number, "what": "and then"},
        ]

    records: list[dict[str, object]] = [
        {"event": "run_started", "time": moment(-900), "who": "root@controller", "verb": "migrate"},
        {"event": "plan_adopted", "time": moment(-900), "digest": "0ld", "actions": actions(1)},
        {"event": "step_done", "time": moment(-890), "step": 1},
        {"event": "run_started", "time": moment(-800), "who": "root@controller", "verb": "rollback"},
        {"event": "step_undone", "time": moment(-790), "step": 1},
        {"event": "run_finished", "time": moment(-780)},
        {"event": "run_started", "time": moment(1), "who": "root@controller", "verb": "migrate"},
        {
            "event": "plan_adopted",
            "time": moment(1),
            "digest": DIGEST,
            "actions": [a for n in range(1, 7) for a in actions(n)],
        },
        {
            "event": "guard_overridden",
            "time": moment(3),
            "code": "migration-r8",
            "by": "carol",
            "why": "nobody there <b>",
        },
        {"event": "something_new", "time": moment(5), "who": "root@controller"},
    ]
    for number, start, end, _ in STEPS:
        records.append(
            {
                "event": "step_opened",
                "time": moment(start),
                "step": number,
                "digest": DIGEST,
                "guards": ["migration-r1", "migration-r3"],
            }
        )
        if number == 3:
            records.append(
                {"event": "wave_done", "time": moment(end), "wave": "pilot", "users": ["alice@corp.example"]}
            )
        if number == 6:
            records += [
                {"event": "partner_switched", "time": moment(117), "partner": partner, "state": "gateway"}
                for partner, _, _ in PAIRS
            ]
        records.append({"event": "step_done", "time": moment(end), "step": number})
    records.append({"event": "run_finished", "time": moment(140)})
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


DIGEST = "3f7a91c2e4b80d5f6a"


def told_by_the_journal() -> Story:
    """That journal, read."""
    return tell(read_records(journal_lines()), START)


def circumstances(**changes: object) -> Circumstances:
    """What the runner would know beside the messages."""
    name = "_xmpp-server._tcp.corp.example."

    def dns(target: str, ttl: int) -> tuple[RecordSet, ...]:
        return tuple(
            RecordSet(s, name, "SRV", ttl, (f"10 10 5269 {target}",)) for s in ("203.0.113.53", "203.0.113.54")
        )

    def certificate(host: str, place: str, subject: str, names: Sequence[str], issuer: str, sha: str) -> Certificate:
        return Certificate(host, place, subject, tuple(names), issuer, "2027-11-21", ("server",), sha * 8)

    old = certificate("legacy1", "served on 5269", "corp.example", ["corp.example"], "Lab public CA", "0badc0de")
    new = [
        certificate("edge1", "served on 5269", "corp.example", ["corp.example"], "Lab public CA", "5eed5eed"),
        certificate(
            "edge1", "link", "edge1-int.corp.example", ["edge1-int.corp.example"], "Lab private CA", "aa55aa55"
        ),
        certificate(
            "fe1", "sip", "fe1.corp.example", ["fe-pool.corp.example", "fe1.corp.example"], "Lab private CA", "77777777"
        ),
    ]
    hosts = tuple(
        Host(h, (f"198.51.100.{i}",), (), *STANDS_FOR[h])
        for i, h in enumerate(sorted(STANDS_FOR))
        if h[-1] != "2" or h == "dns2"
    )
    known = {
        "scenario": "replace",
        "engine": "standalone",
        "command": "ansible-playbook playbooks/migrate.yml",
        "exit_status": 0,
        "started": START - 5,
        "finished": START + 160,
        "before": Observation(dns("legacy1.corp.example.", 15), (old,)),
        "after": Observation(
            dns("edge1.corp.example.", 15),
            (old, *new),
            (
                Service("edge1", "xmppgw-edge.service", "active", 41 * 2**20),
                Service("fe1", "xmppgw-frontend.service", "active", 44 * 2**20),
            ),
        ),
        "hosts": hosts,
        "story": told_by_the_journal(),
        "settled": "target",
        "expected": "target",
    }
    return Circumstances(**{**known, **changes})
