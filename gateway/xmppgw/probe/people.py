"""The probe's hand on the people of host `users`: start, stop, ask, and bring home what they wrote down.

Called by the runner. The answers are decoded strictly; the agent's own program is
`pulumi/xmpp_infra/lab/people/agent.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from xmppgw.probe.events import Event, Kind, Relayed, decode_lines
from xmppgw.probe.hosts import Hosts, LabError

HOST = "users"
AGENT = "/usr/local/lib/people/agent.py"
THROUGH_LOG = "/usr/local/sbin/through-log"


class Seen(msgspec.Struct, frozen=True):
    """Messages that came with one bottom-most Via: how many, and when the last one (host clock)."""

    count: int
    last: float


class FlowStatus(msgspec.Struct, frozen=True):
    """Running counts of one flow."""

    partner: str
    pair: str
    direction: str
    kind: Kind
    sent: int
    received: int
    returned: int
    last_received: float
    via: Mapping[str, Seen]
    own: str = ""
    """Our SIP domain on one side of it."""


class RunStatus(msgspec.Struct, frozen=True):
    """How the current run goes."""

    run: str
    sending: bool
    events: str
    outstanding: int
    flows: tuple[FlowStatus, ...]
    resumed: int = 0
    """How often the agent had died and found its run again."""


class Status(msgspec.Struct, frozen=True):
    """Who is online and how the run goes; `time` is the host's clock."""

    ok: bool
    time: float
    online: tuple[str, ...]
    expected: tuple[str, ...]
    foreign: int
    run: RunStatus | None


@dataclass(frozen=True)
class Evidence:
    """Everything that was written down about a run, and how many lines of it could not be read."""

    events: list[Event]
    relayed: dict[str, list[Relayed]]
    broken: int


class People:
    """The agent on host `users`."""

    def __init__(self, hosts: Hosts, partners: Mapping[str, str], own_domains: Sequence[str]) -> None:
        """`partners` names the host of each partner domain, `own_domains` whose messages its log is asked for."""
        self._hosts = hosts
        self.partners = dict(sorted(partners.items()))
        self._own = tuple(own_domains)

    def start(self, run: str, limit: int, seconds: float) -> Status:
        """Begin a run; raises LabError."""
        return self._ask({"command": "start", "run": run, "limit": limit, "seconds": seconds})

    def stop(self) -> Status:
        """Stop sending; raises LabError."""
        return self._ask({"command": "stop"})

    def status(self) -> Status:
        """Ask how it goes; raises LabError."""
        return self._ask({"command": "status"})

    def _ask(self, request: Mapping[str, object]) -> Status:
        said = self._hosts.run(HOST, ["python3", AGENT, "control", json.dumps(request)])
        try:
            return msgspec.json.decode(said, type=Status)
        except msgspec.MsgspecError as error:
            raise LabError(f"{HOST}: the people's agent answered {said[:200]!r}: {error}") from error

    def relayed(self, domain: str) -> tuple[list[Relayed], int]:
        """A partner server's own log of the messages that came from our domain; raises LabError."""
        asked = [word for own in self._own for word in ("--domain", own)]
        said = self._hosts.run(self.partners[domain], [THROUGH_LOG, *asked, "--partner", domain], wait_s=60.0)
        return decode_lines(said, Relayed)

    def collect(self, run: RunStatus) -> Evidence:
        """Bring home the event lines and the partners' logs; raises LabError."""
        path = PurePosixPath(run.events)
        events, broken = decode_lines(self._hosts.run(HOST, ["cat", str(path)], wait_s=120.0), Event)
        relayed = {}
        for domain in self.partners:
            relayed[domain], more = self.relayed(domain)
            broken += more
        return Evidence(events, relayed, broken)
