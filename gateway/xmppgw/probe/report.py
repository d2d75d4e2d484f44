"""The report: one value that says how a run went, and its three faces: JSON, HTML and Markdown.

Called by the runner after every run and by `python -m xmppgw.probe report`, which makes the faces anew from
report.json. Pure except for the templates that lie beside this file. `report.json` is a handle other programs rely on:
keys may be added, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from xmppgw.probe import plots
from xmppgw.probe.events import DIRECTIONS
from xmppgw.probe.journal import GuardResult, PartnerEvent, PlannedAction, Run, Story, Wave
from xmppgw.probe.ledger import (
    Fate,
    Ledger,
    Message,
    Tally,
    by_flow,
    control_gaps,
    silences,
    tally,
)
from xmppgw.probe.observations import (
    Certificate,
    CertificateChange,
    Host,
    Observation,
    RecordSet,
    Service,
    compare_certificates,
)
from xmppgw.probe.partner_table import PartnerLine, partner_lines
from xmppgw.probe.steps import NAMES, Course, State, Step, phase_of
from xmppgw.probe.timeline import Timeline, draw_up

SCHEMA = 1


DROPPED_BOUND = 2
"""Messages a run may lose inside partners' servers: one closing costs a 3 ms window (measured), so one."""


@dataclass(frozen=True)
class StepEntry:
    """One step, for readers and for other programs. `duration_s` includes `waited_s`; `own_s` is the rest."""

    number: int
    name: str
    state: State
    changed: int
    duration_s: float
    waited_s: float
    own_s: float
    reason: str = ""


@dataclass(frozen=True)
class SilenceEntry:
    """A notable silence beside the control pair's longest then; start in seconds since the first message."""

    partner: str
    pair: str
    direction: str
    start_s: float
    length_s: float
    control_s: float
    phase: str


@dataclass(frozen=True)
class UnknownEntry:
    """Messages to nobody in one phase: every one must come back to its sender."""

    phase: str
    sent: int
    returned: int
    delivered: int
    not_returned: int


@dataclass(frozen=True)
class Unknown:
    """All messages to nobody, and by phase."""

    sent: int
    returned: int
    delivered: int
    not_returned: int
    phases: tuple[UnknownEntry, ...]


NO_UNKNOWN = Unknown(0, 0, 0, 0, ())


@dataclass(frozen=True)
class PartnerEntry(Tally):
    """Counts of one partner; per direction within it."""

    per_direction: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True)
class Stray:
    """A message that did not simply arrive once: what a person asks about first."""

    partner: str
    pair: str
    direction: str
    kind: str
    n: int
    fate: str
    sent_s: float
    phase: str
    copies: int
    returned_by: str
    code: str


@dataclass(frozen=True)
class ProbeEntry(Tally):
    """The probe's totals, DESIGN's handle: `sent` .. `per_partner`; the rest helps a reader."""

    control_gap_s: float = 0.0
    per_direction: Mapping[str, Tally] = field(default_factory=dict)
    per_partner: Mapping[str, PartnerEntry] = field(default_factory=dict)
    control: Tally = field(default_factory=Tally)
    unknown_users: Unknown = NO_UNKNOWN
    unreachable: Unknown = NO_UNKNOWN
    """The messages to a partner that nobody reaches; they are in the totals, too."""
    blind_s: float = 0.0
    """How long the people's agent was down, so that nobody saw anything."""
    silences: tuple[SilenceEntry, ...] = ()
    strays: tuple[Stray, ...] = ()
    strays_left_out: int = 0
    unprotected_bound: int = 0
    dropped_by_partner: int = 0
    unmatched_notices: int = 0
    unexpected: int = 0
    broken_lines: int = 0
    settled: str = ""


@dataclass(frozen=True)
class Dns:
    """What the name servers answered."""

    before: tuple[RecordSet, ...]
    after: tuple[RecordSet, ...]


@dataclass(frozen=True)
class PlanStep:
    """What the plan says one step will do."""

    number: int
    name: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class PlanStepDone:
    """One step of the plan beside what was done: its lines and what became of them, and what the run changed."""

    number: int
    name: str
    state: State
    changed: int
    actions: tuple[PlannedAction, ...]


@dataclass(frozen=True)
class JournalEntry:
    """What the migration's journal says: guards and waves, what was decided about partners, and every run so far."""

    guards: tuple[GuardResult, ...] = ()
    waves: tuple[Wave, ...] = ()
    partners: tuple[PartnerEvent, ...] = ()
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The first thing a person reads."""

    good: bool
    sentence: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """How one run went."""

    schema: int
    scenario: str
    plan_digest: str
    engine: str
    command: str
    exit_status: int
    started: str
    finished: str
    verdict: Verdict
    steps: tuple[StepEntry, ...]
    probe: ProbeEntry
    dns: Dns
    certificates: tuple[CertificateChange, ...]
    hosts: tuple[Host, ...]
    services: tuple[Service, ...]
    plan: tuple[PlanStep, ...]
    timeline: Timeline
    plan_done: tuple[PlanStepDone, ...] = ()
    partners: tuple[PartnerLine, ...] = ()
    journal: JournalEntry = field(default_factory=JournalEntry)


STRAYS_SHOWN = 200
"""The first of each run; the counts are complete."""


@dataclass(frozen=True)
class Circumstances:
    """What the runner knows beside the messages. Times are epoch seconds; `settled` is what the end of the run showed:

    `target`, `legacy`, or empty where the traffic did not come to rest on one gateway.
    """

    scenario: str
    engine: str
    command: str
    exit_status: int
    started: float
    finished: float
    before: Observation
    after: Observation
    hosts: tuple[Host, ...]
    story: Story = field(default_factory=Story)
    behind: tuple[str, ...] = ()
    """Partners that the migration has left at the old gateway."""
    broken_lines: int = 0
    settled: str = ""
    expected: str = ""
    troubles: tuple[str, ...] = ()


def build(ledger: Ledger, course: Course, circumstances: Circumstances) -> Report:
    """Put a run's ledger, course and circumstances into one report."""
    probe = _probe(ledger, course, circumstances)
    story = circumstances.story
    planned = _plan_done(story, course)
    return Report(
        schema=SCHEMA,
        scenario=circumstances.scenario,
        plan_digest=story.plan_digest,
        engine=circumstances.engine,
        command=circumstances.command,
        exit_status=circumstances.exit_status,
        started=_instant(circumstances.started),
        finished=_instant(circumstances.finished),
        verdict=_verdict(probe, course, circumstances),
        steps=tuple(_step(step) for step in course.steps),
        probe=probe,
        dns=Dns(circumstances.before.dns, circumstances.after.dns),
        certificates=compare_certificates(circumstances.before, circumstances.after),
        hosts=circumstances.hosts,
        services=circumstances.after.services,
        plan=tuple(PlanStep(step.number, step.name, tuple(a.what for a in step.actions)) for step in planned),
        timeline=draw_up(ledger.messages, course),
        plan_done=planned,
        partners=partner_lines(ledger, course, story, circumstances.behind),
        journal=JournalEntry(story.guards, story.waves, story.partners, story.runs),
    )


def _plan_done(story: Story, course: Course) -> tuple[PlanStepDone, ...]:
    """The adopted plan step by step; empty where the run adopted none."""
    if not story.plan_digest:
        return ()
    steps = {step.number: step for step in course.steps}
    numbers = sorted({*NAMES, *(action.step for action in story.plan)})
    found = []
    for number in numbers:
        step = steps.get(number, Step(number, NAMES.get(number, "")))
        lines = tuple(action for action in story.plan if action.step == number)
        found.append(PlanStepDone(number, step.name, step.state, step.changed, lines))
    return tuple(found)


def _instant(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _step(step: Step) -> StepEntry:
    return StepEntry(
        number=step.number,
        name=step.name,
        state=step.state,
        changed=step.changed,
        duration_s=round(step.duration_s, 2),
        waited_s=round(step.waited_s, 2),
        own_s=round(step.own_s, 2),
        reason=step.reason,
    )


def _probe(ledger: Ledger, course: Course, circumstances: Circumstances) -> ProbeEntry:
    normal, control = ledger.between_domains(), ledger.control()
    total, beside = tally(normal), tally(control)
    partners = sorted({message.flow.partner for message in normal})
    strays = _strays(ledger, course)
    return ProbeEntry(
        **vars(total),
        control_gap_s=round(beside.longest_gap_s, 3),
        per_direction={
            direction: tally([m for m in normal if m.flow.direction == direction]) for direction in DIRECTIONS
        },
        per_partner={partner: _partner([m for m in normal if m.flow.partner == partner]) for partner in partners},
        control=tally(control),
        unknown_users=_unknown(ledger.unknown_users(), course),
        unreachable=_unknown(ledger.unreachable(), course),
        blind_s=round(sum(gap.end - gap.start for gap in ledger.blind), 2),
        silences=_silences(ledger.normal(), control, course),
        strays=tuple(strays[:STRAYS_SHOWN]),
        strays_left_out=max(0, len(strays) - STRAYS_SHOWN),
        # What nobody saw is a problem of its own, see the verdict.
        unprotected_bound=sum(kill.bound for kill in course.kills)
        + min(ledger.dropped_by_partner, DROPPED_BOUND)
        + ledger.unseen,
        dropped_by_partner=ledger.dropped_by_partner,
        unmatched_notices=ledger.unmatched_notices,
        unexpected=ledger.unexpected,
        broken_lines=circumstances.broken_lines,
        settled=circumstances.settled,
    )


def _partner(messages: Sequence[Message]) -> PartnerEntry:
    return PartnerEntry(
        **vars(tally(messages)),
        per_direction={
            direction: tally([m for m in messages if m.flow.direction == direction]) for direction in DIRECTIONS
        },
    )


def _silences(normal: Sequence[Message], control: Sequence[Message], course: Course) -> tuple[SilenceEntry, ...]:
    beside = control_gaps(control)
    if not normal:
        return ()
    origin = min(message.sent_at for message in normal)
    entries = [
        SilenceEntry(
            partner=flow.partner,
            pair=flow.pair,
            direction=flow.direction,
            start_s=round(silence.start - origin, 2),
            length_s=round(silence.length_s, 3),
            control_s=round(silence.control_s, 3),
            phase=phase_of(silence.start, course.steps),
        )
        for flow, messages in by_flow(normal).items()
        for silence in silences(messages, beside)
    ]
    return tuple(sorted(entries, key=lambda entry: -entry.length_s))


def _unknown(messages: Sequence[Message], course: Course) -> Unknown:
    phases: dict[str, list[Message]] = {}
    for message in sorted(messages, key=lambda m: m.sent_at):
        phases.setdefault(phase_of(message.sent_at, course.steps), []).append(message)
    return Unknown(
        *_back(messages), phases=tuple(UnknownEntry(phase, *_back(found)) for phase, found in phases.items())
    )


def _back(messages: Sequence[Message]) -> tuple[int, int, int, int]:
    returned = sum(m.fate is Fate.RETURNED for m in messages)
    delivered = sum(m.fate is Fate.DELIVERED for m in messages)
    missing = sum(m.fate is Fate.LOST for m in messages)
    return len(messages), returned, delivered, missing


def _strays(ledger: Ledger, course: Course) -> list[Stray]:
    """Everything that did not simply arrive once; of the messages to nobody, those that did not come back."""
    origin = min((message.sent_at for message in ledger.messages), default=0.0)
    found = []
    for m in ledger.messages:
        proper = Fate.DELIVERED if m.kind == "normal" else Fate.RETURNED
        doubtful = m.copies > 1 or (m.fate is Fate.DELIVERED and m.returned_at is not None)
        if m.fate is proper and not doubtful:
            continue
        found.append(
            Stray(
                partner=m.flow.partner,
                pair=m.flow.pair,
                direction=m.flow.direction,
                kind=m.kind,
                n=m.n,
                fate=m.fate.value,
                sent_s=round(m.sent_at - origin, 2),
                phase=phase_of(m.sent_at, course.steps),
                copies=m.copies,
                returned_by=m.returned_by,
                code=m.code,
            )
        )
    return sorted(found, key=lambda stray: (stray.fate != "lost", stray.sent_s))


NUMBER_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six")


def _verdict(probe: ProbeEntry, course: Course, circumstances: Circumstances) -> Verdict:
    """Say in one sentence how it went, and in one line each what is wrong."""
    done = sum(step.state == "done" for step in course.steps)
    undone = sum(step.state == "undone" for step in course.steps)
    failed = [step for step in course.steps if step.state in ("failed", "running")]
    problems = [f"The command ended with exit status {circumstances.exit_status}."] * bool(circumstances.exit_status)
    problems += [f"Step {step.number} ({step.name}) {_how(step)}." for step in failed]
    problems += _probe_problems(probe)
    if circumstances.expected and circumstances.settled != circumstances.expected:
        problems.append(f"The traffic did not come to rest on the {circumstances.expected} gateway.")
    problems += circumstances.troubles
    counts = f"{probe.sent:,} messages, {probe.lost} lost, {probe.duplicated} doubled"
    if probe.unprotected:
        # "0 lost" alone would be less than the truth: these did not arrive either.
        counts += f", {probe.unprotected} unprotected"
    if undone:
        sentence = f"{_word(undone)} step{'s' * (undone != 1)} taken back, {counts}"
    elif done:
        sentence = f"{_word(done)} step{'s' * (done != 1)} done, {counts}"
    else:
        sentence = counts
    return Verdict(not problems, sentence, tuple(problems))


def _word(count: int) -> str:
    return NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count)


def _how(step: Step) -> str:
    if step.state == "running":
        return "was begun and not ended"
    return f"failed: {step.reason}".rstrip(": .") if step.reason else "failed"


def _probe_problems(probe: ProbeEntry) -> list[str]:
    problems = []
    if not probe.sent:
        problems.append("No message was measured.")
    if probe.lost:
        problems.append(f"{probe.lost} of {probe.sent:,} messages were lost: neither delivered nor returned.")
    if probe.duplicated:
        problems.append(f"{probe.duplicated} messages were delivered more than once.")
    if probe.unknown_users.not_returned:
        problems.append(f"{probe.unknown_users.not_returned} messages to an unknown user did not come back.")
    if probe.unknown_users.delivered:
        problems.append(f"{probe.unknown_users.delivered} messages to an unknown user reached somebody.")
    if probe.unreachable.delivered:
        problems.append(f"{probe.unreachable.delivered} messages to a partner that is away reached somebody.")
    if probe.blind_s:
        problems.append(
            f"The people's agent died and was down for {probe.blind_s:.1f} s: what became of the messages of that time "
            "nobody can tell."
        )
    if probe.unprotected > probe.unprotected_bound:
        problems.append(
            f"{probe.unprotected} messages went missing unprotected, the bound is {probe.unprotected_bound}."
        )
    if probe.unexpected:
        problems.append(f"{probe.unexpected} event lines speak of messages that nobody sent.")
    if probe.broken_lines:
        problems.append(f"{probe.broken_lines} lines of evidence could not be read.")
    return problems


def to_json(report: Report) -> bytes:
    """report.json, sorted as the fields are declared, indented for people."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def from_json(data: bytes) -> Report:
    """Read report.json back; raises msgspec.MsgspecError naming what is wrong."""
    return msgspec.json.decode(data, type=Report)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=plots.clock,
        span=plots.span_text,
        thousands=lambda value: f"{value:,}",
        mebibytes=lambda value: f"{value / 2**20:.0f} MiB",
        cell=_markdown_cell,
        phase=_phase_words,
        standing=_standing_words,
        moment=lambda text: text.replace("T", " ").replace("Z", ""),
    )
    environment.globals.update(
        timeline_svg=plots.timeline_svg,
        split_bar_svg=plots.split_bar_svg,
        duration_bar_svg=plots.duration_bar_svg,
        direction_words={"xmpp_to_sip": "XMPP → SIP", "sip_to_xmpp": "SIP → XMPP", "control": "control"},
    )
    return environment


def _markdown_cell(value: object) -> str:
    """Keep a value from breaking out of its table cell."""
    text = str(value).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;")
    return " ".join(text.split())


def _phase_words(phase: str) -> str:
    return {"before": "before step 1", "after": "after the last step"}.get(phase, f"step {phase}")


def _standing_words(state: str) -> str:
    words = {
        "gateway": "our gateway",
        "legacy": "old gateway",
        "static?": "old gateway (static?)",
        "away": "cannot be reached",
        "": "not decided",
    }
    return words.get(state, state)


def to_html(report: Report) -> str:
    """report.html: one file that needs nothing else."""
    return _environment().get_template("report.html.j2").render(report=report, changes=_changes(report))


def to_markdown(report: Report) -> str:
    """report.md: the same in text."""
    return _environment().get_template("report.md.j2").render(report=report, changes=_changes(report))


@dataclass(frozen=True)
class DnsChange:
    """One RRset on one server, before and after."""

    server: str
    name: str
    type: str
    before: RecordSet | None
    after: RecordSet | None

    @property
    def changed(self) -> bool:
        """Whether its records (not only its TTL) differ."""
        return (self.before.records if self.before else ()) != (self.after.records if self.after else ())


def _changes(report: Report) -> list[DnsChange]:
    before = {(r.server, r.name, r.type): r for r in report.dns.before}
    after = {(r.server, r.name, r.type): r for r in report.dns.after}
    return [DnsChange(*key, before.get(key), after.get(key)) for key in sorted(before | after)]


__all__ = [
    "Certificate",
    "Circumstances",
    "PlanStep",
    "Report",
    "build",
    "from_json",
    "to_html",
    "to_json",
    "to_markdown",
]
