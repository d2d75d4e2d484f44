#!/usr/bin/python
"""Bring a gateway host's files and units to the state of one step; start, reload or restart what that touches."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_configuration
short_description: Files and units of a gateway host
description:
  - Writes whole files atomically, then brings units to their state. A changed configuration is reloaded, which keeps
    streams; a
    changed unit or release restarts the service.
  - The action C(gateway_host) computes O(files) and O(units) from the federation document and O(stage).
options:
  user:
    description: System user and group of the daemon.
    type: str
    required: true
  files:
    description: Files by path. Keys content, mode (number), group.
    type: dict
    required: true
  units:
    description: Units by name, C(enabled) (and running) or C(disabled) (and stopped).
    type: dict
    required: true
  service:
    description: The daemon's service unit.
    type: str
    required: true
  secret:
    description: Path of a secret to be made here if there is none, readable by the daemon.
    type: path
  reload:
    description: Reload the service even if no file changed, for example for a new certificate.
    type: bool
    default: false
  control_socket:
    description: The daemon's control socket, for O(expect).
    type: path
  facts:
    description: Entries that the daemon's status must show as given, for O(expect).
    type: dict
    default: {}
  expect:
    description: What the daemon must say of itself in the end; empty to ask nothing.
    type: str
    default: ""
  limit:
    description: Seconds until it must.
    type: int
    default: 30
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Write a file and start the service
  xmppgw.migration.host_configuration:
    user: xmppgw-edge
    files: {/etc/xmppgw/edge.json: {content: "{}", mode: 416, group: xmppgw-edge}}
    units: {xmppgw-edge.service: enabled}
    service: xmppgw-edge.service
"""
RETURN = r"""
did:
  description: What was changed, in order.
  type: list
  returned: always
"""

import secrets  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import (  # noqa: E402
    control,
    host_reading,
    host_writing,
    readiness,
)

ARGUMENTS = {
    "user": {"type": "str", "required": True},
    "files": {"type": "dict", "required": True},
    "units": {"type": "dict", "required": True},
    "service": {"type": "str", "required": True},
    "secret": {"type": "path", "no_log": False},
    "reload": {"type": "bool", "default": False},
    "control_socket": {"type": "path"},
    "facts": {"type": "dict", "default": {}},
    "expect": {"type": "str", "default": ""},
    "limit": {"type": "int", "default": 30},
}


def systemctl(*arguments):
    """Call systemctl; raises WriteError with the unit's last journal lines, where the reason stands."""
    try:
        host_writing.run(["systemctl", *arguments], timeout=90)
    except host_writing.WriteError as problem:
        journal = host_writing.run(["journalctl", "--no-pager", "-o", "cat", "-n", "15", "-u", arguments[-1]])
        raise host_writing.WriteError(f"{problem}\n{journal}") from problem


def write_files(files, secret, user):
    """Write the files; return what was written."""
    did = []
    for path, item in sorted(files.items()):
        if host_writing.write_file(path, item["content"], item["mode"], item["group"]):
            did.append(f"wrote {path}")
    if secret and not Path(secret).exists():
        host_writing.write_file(secret, secrets.token_hex(32) + "\n", 0o640, user)
        did.append(f"made {secret}")
    return did


def plan_units(states, wanted, service, *, files_changed, unit_changed, reload):
    """Return the systemctl calls that bring `states` to `wanted`, in order. Pure.

    A socket cannot start under a running service, and a service keeps what its socket passed to it: so where a socket
    changes, its service is stopped first and started last.
    """
    sockets = {name: state for name, state in wanted.items() if name.endswith(".socket")}
    moving = sorted(name for name, state in sockets.items() if states.get(name) != state)
    running = states.get(service, "disabled").startswith("enabled") or states.get(service, "").endswith("active")
    calls = []
    if wanted.get(service) == "disabled":
        if states.get(service) != "disabled":
            calls.append(("disable", "--now", service))
    elif moving and running:
        calls.append(("stop", service))
    for name in moving:
        calls.append(("enable", "--now", name) if sockets[name] == "enabled" else ("disable", "--now", name))
    if wanted.get(service) == "enabled":
        if moving or states.get(service) == "disabled" or states.get(service, "").startswith("disabled"):
            calls += [("enable", service), ("start", service)]
        elif states.get(service) != "enabled" or unit_changed:
            calls += [("enable", service), ("restart", service)]
        elif files_changed or reload:
            calls.append(("reload", service))
    return calls


def await_expectation(path, name, facts, limit):
    """Ask the daemon for its status until the expectation holds; return (held, last answer, seconds)."""
    started = time.monotonic()
    while True:
        try:
            answer = control.ask(path, {"command": "status"})
        except control.ControlError as problem:
            answer = {"ok": False, "reason": str(problem)}
        waited = round(time.monotonic() - started, 2)
        in_force = all(answer.get(key) == value for key, value in facts.items())
        if in_force and readiness.EXPECTATIONS[name](answer, None):
            return True, answer, waited
        if waited >= limit:
            return False, answer, waited
        time.sleep(0.2)


def run(module):
    """Run the module."""
    wanted = module.params
    did = []
    try:
        if host_writing.ensure_user(wanted["user"]):
            did.append(f"made user {wanted['user']}")
        written = write_files(wanted["files"], wanted["secret"], wanted["user"])
        unit_changed = any("/systemd/system/" in line for line in written)
        if unit_changed:
            systemctl("daemon-reload")
        calls = plan_units(
            host_reading.unit_states(sorted(wanted["units"])),
            wanted["units"],
            wanted["service"],
            files_changed=bool(written),
            unit_changed=unit_changed,
            reload=wanted["reload"],
        )
        for call in calls:
            systemctl(*call)
        did += written + [" ".join(call) for call in calls]
        after = host_reading.unit_states(sorted(wanted["units"]))
    except host_writing.WriteError as problem:
        module.fail_json(msg=f"[migration-host] {problem}", code="migration-host", did=did)
    wrong = {name: state for name, state in after.items() if state != wanted["units"][name]}
    if wrong:
        module.fail_json(
            msg=f"[migration-read-back] Units are not as they must be: {wrong}, wanted {wanted['units']}. "
            f"See `journalctl -u {wanted['service']}` on this host.",
            code="migration-read-back",
            did=did,
        )
    waited = 0.0
    if wanted["expect"]:
        reached, answer, waited = await_expectation(
            wanted["control_socket"], wanted["expect"], wanted["facts"], wanted["limit"]
        )
        if not reached:
            module.fail_json(
                msg=f"[migration-gateway] {wanted['service']}: expected {wanted['expect']} within {wanted['limit']} s, "
                f"found: {readiness.sentence(answer)}. See `journalctl -u {wanted['service']}` on this host.",
                code="migration-gateway",
                did=did,
            )
    module.exit_json(
        changed=bool(did), waited_s=waited, did=did, diff={"before": "", "after": "".join(f"{line}\n" for line in did)}
    )
