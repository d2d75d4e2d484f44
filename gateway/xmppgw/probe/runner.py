"""Run a command while people chat, then say what it cost them.

Called by `__main__`: `python -m xmppgw.probe around --output out/lab -- COMMAND...`. The order: see that the lab is up
and every pair gets through; look at DNS and certificates; run the command; wait until the traffic rests on one gateway;
stop the senders, wait for stragglers, collect, classify, report. Once the senders run they are stopped and what they
saw is collected, whatever happens to the command. This module does the effects and prints the live lines; what anything
means is decided in the pure modules beside it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import msgspec

from xmppgw.federation import DocumentProblems, Federation, load_document
from xmppgw.probe import journal, looking, report
from xmppgw.probe.events import StepLine, decode_lines, encode_lines
from xmppgw.probe.hosts import Hosts, LabError, Outputs, read_engine, read_outputs
from xmppgw.probe.ledger import Gateway, Gateways, classify
from xmppgw.probe.observations import Observation
from xmppgw.probe.people import Evidence, People, RunStatus, Status
from xmppgw.probe.settling import QUIET_S, expected_gateway, expected_of, rest
from xmppgw.probe.steps import Course, read_course

PATIENCE_S = 330.0
"""An ejabberd whose first connection failed pauses for up to 300 s (its s2s_max_retry_delay) before the next one."""
STILL_SILENT_EVERY_S = 30.0
SETTLE_WAIT_S = 90.0
"""For the traffic to come to rest after the command; the quiet time itself is 10 s of it."""
STRAGGLER_WAIT_S = 30.0
LIVE_LINE_EVERY_S = 5.0
FLOWING_MESSAGES = 3
EXIT_PROBE_FAILED = 3
EXIT_NOT_CLEAN = 4


@dataclass(frozen=True)
class Options:
    """What was typed."""

    command: tuple[str, ...]
    output: Path
    lab: Path
    document: Path
    limit: int
    seconds: float
    patience: float
    """Seconds for everybody to log in and every pair to get a message through before the command starts."""


@dataclass(frozen=True)
class _Ended:
    """What is known when the command has ended and the senders have stopped."""

    started: float
    status: int
    settled: Gateway | None
    before: Observation
    after: Observation
    run: RunStatus | None


@dataclass
class _Signals:
    """Ctrl-C and friends: the command is told, the probe goes on to collect what it knows."""

    child: subprocess.Popen[bytes] | None = None
    received: list[int] = field(default_factory=list)

    def handle(self, number: int, _: FrameType | None) -> None:
        """Note the signal; pass on what the terminal has not already sent to the whole group."""
        self.received.append(number)
        if self.child is not None and self.child.poll() is None:
            if number != signal.SIGINT:
                self.child.send_signal(number)
            elif len(self.received) > 2:
                self.child.kill()


@contextmanager
def _listening(signals: _Signals) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, signals.handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def around(options: Options) -> int:
    """Run the command under the probe and write the reports.

    Returns the command's exit status, else 4 if it went well and the probe has something to complain of, or 3 if the
    probe itself could not begin (then the command was not run).
    """
    options.output.mkdir(parents=True, exist_ok=True)
    signals = _Signals()
    try:
        with _one_at_a_time(options.output), _listening(signals):
            document = load_document(options.document)
            outputs = read_outputs(options.lab / "outputs.json")
            with Hosts(outputs, options.lab.parent) as hosts:
                return _Probe(options, hosts, document.federation, signals).go()
    except DocumentProblems as problems:
        for problem in problems.problems:
            _say(f"{problem.file}:{problem.line}: {problem.code}: {problem.message}")
    except LabError as problem:
        _say(str(problem))
    return EXIT_PROBE_FAILED


@contextmanager
def _one_at_a_time(output: Path) -> Iterator[None]:
    with (output / ".probe.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(f"another probe is at work in {output}; wait until it has ended") from None
        yield


class _Probe:
    """One run of the probe around one command."""

    def __init__(self, options: Options, hosts: Hosts, federation: Federation, signals: _Signals) -> None:
        self._options = options
        self._hosts = hosts
        self._federation = federation
        self._signals = signals
        self._gateways = gateways_of(federation)
        own = (*federation.own_domains, *federation.legacy_domains)
        self._people = People(hosts, partner_hosts(hosts.outputs, federation), own)
        self._steps_file = options.output.absolute() / "steps.jsonl"
        self._troubles: list[str] = []
        self._started = 0.0

    def go(self) -> int:
        """Everything, in order; the senders never outlive it."""
        run = secrets.token_hex(4)
        started = self._started = time.time()
        self._people.start(run, self._options.limit, self._options.seconds)
        try:
            self._wait_until_flowing()
            before, _ = looking.look(self._hosts, self._federation)
            _move_to_history(self._options.output)
            status = self._run_command()
            settled = self._settle() if status == 0 and not self._signals.received else None
        finally:
            # A second Ctrl-C must not interrupt this: without it nobody learns what the first one cost.
            stopped = self._stop()
        after, unseen = looking.look(self._hosts, self._federation)
        self._troubles += [f"Could not be seen: {line}" for line in unseen]
        return self._write(_Ended(started, status, settled, before, after, stopped))

    # -- before --------------------------------------------------------------------------------------------------

    def _wait_until_flowing(self) -> None:
        _say("people log in and start to chat")
        began = told = time.monotonic()
        while True:
            status = self._people.status()
            silent = _not_flowing(status)
            if not silent:
                _say(_live_line(status, None, self._gateways) + " - everybody gets through")
                return
            if self._signals.received:
                raise LabError("interrupted before the command was started")
            now = time.monotonic()
            if now > told + STILL_SILENT_EVERY_S:
                told = now
                _say(f"{_live_line(status, None, self._gateways)} - nothing arrives yet for {', '.join(silent)}")
            if now > began + self._options.patience:
                missing = sorted(set(status.expected) - set(status.online))
                why = f"not logged in: {', '.join(missing)}; " if missing else ""
                late = f"after {self._options.patience:.0f} s"
                raise LabError(
                    f"{why}nothing arrives for {', '.join(silent)} {late}, so the command was not started. Look "
                    "at `journalctl` of the hosts on the way (users, pools, legacy1, partners)."
                )
            time.sleep(0.5)

    # -- the command ---------------------------------------------------------------------------------------------

    def _run_command(self) -> int:
        environment = {**os.environ, "XMPPGW_STEPS_FILE": str(self._steps_file)}
        _say(f"now {shlex.join(self._options.command)}")
        try:
            child = subprocess.Popen(self._options.command, env=environment)
        except OSError as error:
            self._troubles.append(f"The command could not be started: {error}")
            return 127
        self._signals.child = child
        last_line = time.monotonic()
        while child.poll() is None:
            try:
                child.wait(timeout=0.25)
            except subprocess.TimeoutExpired:
                if time.monotonic() - last_line >= LIVE_LINE_EVERY_S:
                    self._live_line()
                    last_line = time.monotonic()
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def _live_line(self) -> None:
        try:
            _say(_live_line(self._people.status(), self._course(), self._gateways))
        except LabError as problem:
            _say(f"(cannot ask at the moment: {problem})")

    def _course(self) -> Course:
        data = self._steps_file.read_bytes() if self._steps_file.exists() else b""
        lines, _ = decode_lines(data, StepLine)
        return read_course(lines, time.time())

    # -- after ---------------------------------------------------------------------------------------------------

    def _settle(self) -> Gateway | None:
        """Wait until the traffic rests on one gateway; None (with the reasons noted) if it does not in time."""
        course, states = self._course(), self._story().states
        expected, behind = expected_gateway(course, states), self._behind(course, states)
        where = f"the {expected.value} gateway" if expected else "one gateway"
        others = [*behind, *self._federation.legacy_domains]
        but = f" (but {', '.join(others)}: the old one)" if others else ""
        _say(f"done; watching until all traffic has come through {where} alone for {QUIET_S:.0f} s{but}")
        deadline = time.monotonic() + SETTLE_WAIT_S
        while True:
            try:
                status = self._people.status()
                relayed = {domain: self._people.relayed(domain)[0] for domain in self._people.partners}
            except LabError as problem:
                self._troubles.append(f"The end of the run could not be watched: {problem}")
                return None
            flows, staying = status.run.flows if status.run else (), self._federation.legacy_domains
            found = rest(flows, relayed, self._gateways, expected, status.time, behind=behind, staying=staying)
            if found.gateway is not None:
                return found.gateway
            if self._signals.received or time.monotonic() > deadline:
                self._troubles += [f"Still moving at the end: {reason}" for reason in found.awaited]
                return None
            time.sleep(1.0)

    def _behind(self, course: Course, states: Mapping[str, str]) -> list[str]:
        """The partners that the migration has left at the old gateway, sorted."""
        whole = expected_gateway(course, states)
        partners = sorted({flow.domain for flow in self._federation.partners})
        return [name for name in partners if expected_of(name, course, states) is not whole]

    def _story(self) -> journal.Story:
        """What the journal says, brought from where it is kept; nothing where there is none (yet, or any more)."""
        said = b""
        for authority in self._hosts.in_group("front_ends")[:1]:
            try:
                said = self._hosts.run(authority, ["sh", "-c", f"cat {journal.PATH} 2>/dev/null; true"])
            except LabError as problem:
                self._troubles.append(f"The journal could not be read: {problem}")
        return journal.tell(journal.read_records(said), self._started)

    def _stop(self) -> RunStatus | None:
        """Stop the senders and wait for what is under way."""
        try:
            status = self._people.stop()
            deadline = time.monotonic() + STRAGGLER_WAIT_S
            while status.run is not None and status.run.outstanding and time.monotonic() < deadline:
                time.sleep(0.5)
                status = self._people.status()
        except LabError as problem:
            self._troubles.append(f"The senders could not be stopped: {problem}")
            return None
        _say(_live_line(status, self._course(), self._gateways) + " - stopped")
        return status.run

    def _write(self, ended: _Ended) -> int:
        run, status = ended.run, ended.status
        evidence = Evidence([], {}, 0)
        if run is None:
            self._troubles.append("The people's run is gone: their agent was restarted, nothing can be said of it.")
        else:
            try:
                evidence = self._people.collect(run)
            except LabError as error:
                self._troubles.append(f"What people saw could not be collected: {error}")
        course = self._course()
        story = self._story()
        expected, behind = expected_gateway(course, story.states), self._behind(course, story.states)
        made = report.build(
            classify(evidence.events, evidence.relayed, self._gateways, course.kills),
            course,
            report.Circumstances(
                scenario=str(self._federation.scenario),
                engine=read_engine(self._options.lab),
                command=shlex.join(self._options.command),
                exit_status=status,
                started=ended.started,
                finished=time.time(),
                before=ended.before,
                after=ended.after,
                hosts=looking.describe_hosts(self._hosts),
                story=story,
                behind=tuple(behind),
                broken_lines=evidence.broken,
                settled=ended.settled.value if ended.settled in (Gateway.TARGET, Gateway.LEGACY) else "",
                expected=expected.value if expected and status == 0 else "",
                troubles=tuple(self._troubles),
            ),
        )
        write_faces(made, self._options.output)
        _keep_evidence(evidence, self._options.output / "evidence")
        _say(made.verdict.sentence)
        for problem in made.verdict.problems:
            _say(f"! {problem}")
        _say(f"report: {self._options.output / 'report.html'} (also .json, .md)")
        if status:
            return status
        return 0 if made.verdict.good else EXIT_NOT_CLEAN


def write_faces(made: report.Report, output: Path) -> None:
    """Write report.json, .html and .md; each appears whole or not at all."""
    faces = (
        ("report.json", report.to_json(made)),
        ("report.html", report.to_html(made).encode()),
        ("report.md", report.to_markdown(made).encode()),
    )
    for name, data in faces:
        half = output / f".{name}.part"
        half.write_bytes(data)
        half.replace(output / name)


def _keep_evidence(evidence: Evidence, folder: Path) -> None:
    """Leave the lines beside the report: whoever doubts a number can count again."""
    folder.mkdir(exist_ok=True)
    (folder / "events.jsonl").write_bytes(encode_lines(evidence.events))
    for domain, lines in evidence.relayed.items():
        (folder / f"through-{domain}.jsonl").write_bytes(encode_lines(lines))


def _move_to_history(output: Path) -> None:
    """Move an earlier report and its lines out of the way; its name in history is when it was written."""
    former = [output / name for name in ("report.json", "report.html", "report.md", "steps.jsonl", "evidence")]
    former = [path for path in former if path.exists()]
    if not former:
        return
    written = datetime.fromtimestamp(former[0].stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
    place = output / "history" / written
    number = 1
    while place.exists():
        number += 1
        place = output / "history" / f"{written}-{number}"
    place.mkdir(parents=True)
    for path in former:
        path.rename(place / path.name)


def gateways_of(federation: Federation) -> Gateways:
    """By which names and addresses the far ends know the old gateway and ours."""
    legacy: set[str] = set()
    if federation.legacy is not None:
        gateway = federation.legacy.gateway
        legacy = {gateway.fqdn, *(str(ip_address(str(a))) for a in gateway.addresses)}
    target: set[str] = set()
    for pool in federation.pools:
        target.add(pool.fqdn)
        for front_end in pool.front_ends:
            target |= {front_end.fqdn, *(str(ip_address(str(a))) for a in front_end.addresses)}
    for edge in federation.edges:
        addresses = (*edge.external_addresses, *edge.public_addresses, *edge.internal_addresses)
        target |= {edge.fqdn, edge.internal_fqdn, *(str(ip_address(str(a))) for a in addresses)}
    return Gateways(frozenset(map(str.lower, legacy)), frozenset(map(str.lower, target)))


def partner_hosts(outputs: Outputs, federation: Federation) -> dict[str, str]:
    """The host of each partner's server, as far as the stack says it."""
    domains = sorted(str(partner.domain) for partner in federation.partners)
    return {domain: outputs.partners[domain] for domain in domains if domain in outputs.partners}


def _not_flowing(status: Status) -> list[str]:
    if status.run is None:
        return ["everybody (the people's agent has no run)"]
    return [
        f"{flow.pair} {flow.direction}"
        for flow in status.run.flows
        if flow.kind == "normal" and flow.received < FLOWING_MESSAGES
    ]


def _live_line(status: Status, course: Course | None, gateways: Gateways) -> str:
    """One line that says how it goes."""
    if status.run is None:
        return "the people's agent was restarted: its run is gone"
    flows = [flow for flow in status.run.flows if flow.kind == "normal" and flow.direction != "control"]
    carried = dict.fromkeys(Gateway, 0)
    for flow in flows:
        for via, seen in flow.via.items():
            carried[gateways.which(via)] += seen.count
    step = course.current() if course else None
    where = f"step {step.number}: {step.name}; " if step else ""
    return (
        f"{where}sent {sum(f.sent for f in flows)}, delivered {sum(f.received for f in flows)}, "
        f"returned {sum(f.returned for f in flows)}, under way {status.run.outstanding}; "
        f"to SIP by the old gateway {carried[Gateway.LEGACY]}, by ours {carried[Gateway.TARGET]}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"probe {datetime.now(UTC):%H:%M:%S}  {text}\n")
    sys.stdout.flush()


def render_again(output: Path) -> int:
    """Make report.html and report.md anew from report.json."""
    try:
        made = report.from_json((output / "report.json").read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        _say(f"{output / 'report.json'}: {error}")
        return 2
    write_faces(made, output)
    return 0
