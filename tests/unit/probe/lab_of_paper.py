"""A lab of paper for tests of the probe: an `ssh` that answers from a table, and people who count only when asked.

What it is told stands in its folder: `answers.json` (which host says what to which command) and `people.json`. It keeps
every call in `calls.jsonl`, so a test can see what was asked and in which order.
"""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

HOSTS = {"users": [], "fe1": ["front_ends"], "edge1": ["edges"], "partner1": ["partners"]}
PARTNER = "partner1.example"
PAIR = "alice/juliet"
START = 1_795_230_000.0
SSH = '''#!{python} -IS
"""Answers as the table beside it says."""
import json, shlex, sys, time
from pathlib import Path

folder = Path({folder!r})
arguments = sys.argv[1:]
given = "" if "-O" in arguments else sys.stdin.read()
host, command = arguments[-1 if "-O" in arguments else -2].rpartition("@")[2], arguments[-1]
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({{"host": host, "command": command, "given": given, "arguments": arguments}}) + "\\n")
if "-O" in arguments:
    sys.exit(0)
people = json.loads((folder / "people.json").read_text())
for row in json.loads((folder / "answers.json").read_text()):
    if row["host"] == host and row["says"] in command:
        time.sleep(row.get("seconds", 0))
        sys.stdout.write(row.get("out", ""))
        sys.stderr.write(row.get("err", ""))
        sys.exit(row.get("status", 0))
now = people["time"]
if "agent.py control" in command:
    request = json.loads(shlex.split(command)[-1])
    # Each look finds the clock a good deal further, so that nobody who waits for quiet has to.
    now = people["time"] = now + 20
    if request["command"] == "start":
        people["run"] = request["run"]
    people["sending"] = request["command"] != "stop"
    (folder / "people.json").write_text(json.dumps(people))
    flows = [
        {{"partner": people["partner"], "pair": people["pair"], "direction": direction, "kind": "normal", "sent": 9,
          "received": people["received"], "returned": 0, "last_received": now,
          "via": {{people["through"]: {{"count": 9, "last": now}}}} if direction == "xmpp_to_sip" else {{}}}}
        for direction in ("xmpp_to_sip", "sip_to_xmpp")
    ]
    run = {{"run": people["run"], "sending": people["sending"], "events": "/run/events", "outstanding": 0}}
    run["flows"] = flows
    json.dump({{"ok": True, "time": now, "online": [], "expected": ["juliet"], "foreign": 0, "run": run}}, sys.stdout)
elif "through-log" in command:
    line = {{"id": "s-0", "address": people["through"], "t": now, "from": "alice@corp.example"}}
    print(json.dumps(line))
elif "cat /run/events" in command:
    print("\\n".join(json.dumps(event) for event in people["events"]))
elif "journal.jsonl" not in command:
    sys.stderr.write("nobody here knows that\\n")
    sys.exit(1)
'''


def _events(*received: str) -> list[dict[str, object]]:
    """One message each way is sent; those of the directions named arrive."""
    found: list[dict[str, object]] = []
    for direction, name in (("sip_to_xmpp", "s-0"), ("xmpp_to_sip", "x-0")):
        about = {"partner": PARTNER, "pair": PAIR, "direction": direction, "n": 0, "id": name}
        found.append({"t": START + 1, "e": "sent", **about})
        if direction in received:
            found.append({"t": START + 2, "e": "received", **about, "via": "legacy1.corp.example"})
    return found


@dataclass
class Paper:
    """The lab's folder, and what it says."""

    folder: Path
    answers: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        lab = self.folder / ".lab"
        lab.mkdir()
        hosts = {name: {"address": name, "groups": groups} for name, groups in HOSTS.items()}
        ssh = {"private_key": ".lab/key", "known_hosts": ".lab/known_hosts", "proxy_command": "nc %h %p"}
        outputs = {"hosts": hosts, "ssh": ssh, "partners": {PARTNER: "partner1"}}
        (lab / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
        self.says()
        self.people()
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(SSH.format(python=sys.executable, folder=str(self.folder)), encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def says(self, *rows: dict[str, object]) -> None:
        """Let hosts answer so: {host, says: part of the command, out, err, status, seconds}; the first that fits."""
        self.answers = list(rows)
        (self.folder / "answers.json").write_text(json.dumps(self.answers), encoding="utf-8")

    def people(self, *, received: int = 9, arrived: tuple[str, ...] = ("sip_to_xmpp", "xmpp_to_sip")) -> None:
        """`received`: what each flow has got so far; `arrived`: the directions whose one message got through."""
        told = {"time": START, "run": "", "sending": False, "partner": PARTNER, "pair": PAIR, "received": received}
        told |= {"through": "legacy1.corp.example", "events": _events(*arrived)}
        (self.folder / "people.json").write_text(json.dumps(told), encoding="utf-8")

    def calls(self, part: str = "") -> list[dict[str, object]]:
        """What was asked so far, in order; only commands with `part` in them."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [call for call in map(json.loads, lines) if part in call["command"]]

    def orders(self) -> list[str]:
        """The commands that the people's agent was given, without questions."""
        asked = [str(call["command"]) for call in self.calls("agent.py control")]
        return [word for text in asked for word in ("start", "stop") if f'"command": "{word}"' in text]
