#!/usr/bin/python
"""Take this host from the release that runs to another installed one, and back by itself if that is not well."""

from __future__ import annotations

DOCUMENTATION = r"""
module: switch_release
short_description: Run another installed release of the gateway
description:
  - Asks the new release whether it accepts the present configuration, drains the daemon, switches the C(current) link,
    restarts the service and waits until the daemon says that it is well. If it does not, the old release is put back
    and started again, and the module fails.
  - Where the release is the current one already, the daemon is started only if it was not since the link was switched,
    and has to be well.
  - No release is removed.
  - The action C(gateway_upgrade) computes the options.
options:
  release:
    description: Folder name of the release under O(prefix).
    type: str
    required: true
  prefix:
    description: Where releases are installed.
    type: path
    default: /opt/xmppgw
  kind:
    description: Which daemon.
    type: str
    choices: [edge, frontend]
    required: true
  settings:
    description: Its configuration file.
    type: path
    required: true
  service:
    description: Its unit.
    type: str
    required: true
  control_socket:
    description: Its control socket.
    type: path
    required: true
  expect:
    description: What it must say of itself; all of them.
    type: list
    elements: str
    required: true
  facts:
    description: Entries that its status must show as given.
    type: dict
    default: {}
  limit:
    description: Seconds until it must.
    type: int
    default: 60
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Run another release
  xmppgw.migration.switch_release:
    release: 0.2.0+0f3a9c1b2d4e
    kind: edge
    settings: /etc/xmppgw/edge.json
    service: xmppgw-edge.service
    control_socket: /run/xmppgw-edge/control.sock
    expect: [links_up]
"""
RETURN = r"""
did:
  description: What was done, in order.
  type: list
  returned: always
before:
  description: Folder name of the release that ran.
  type: str
  returned: always
after:
  description: Folder name of the release that runs now.
  type: str
  returned: always
"""

import subprocess  # noqa: E402
import time  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import (  # noqa: E402
    control,
    host_reading,
    host_writing,
    readiness,
    release_switching,
)

ARGUMENTS = {
    "release": {"type": "str", "required": True},
    "prefix": {"type": "path", "default": "/opt/xmppgw"},
    "kind": {"type": "str", "choices": ["edge", "frontend"], "required": True},
    "settings": {"type": "path", "required": True},
    "service": {"type": "str", "required": True},
    "control_socket": {"type": "path", "required": True},
    "expect": {"type": "list", "elements": "str", "required": True},
    "facts": {"type": "dict", "default": {}},
    "limit": {"type": "int", "default": 60},
}
SUPPORTS_CHECK_MODE = True

DRAIN_LIMIT = 30.0
"""Seconds that a daemon may take to drain; it gives up by itself after 15."""
POLL = 0.2


class Host:
    """The daemon of this host, as a switch of its release handles it."""

    def __init__(self, wanted):
        self.wanted = wanted

    def accepts(self, folder):
        """Return None, or why the release in `folder` refuses the configuration."""
        command = [str(folder / "bin" / "xmppgw"), self.wanted["kind"], "--config", self.wanted["settings"]]
        try:
            done = subprocess.run([*command, "--check-config"], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        return (done.stderr or done.stdout).strip()[-500:] or f"exit {done.returncode}" if done.returncode else None

    def drain(self):
        """Have the daemon finish what it has taken; return what it says."""
        try:
            answer = control.ask(self.wanted["control_socket"], {"command": "drain"}, timeout=DRAIN_LIMIT)
        except control.ControlError as problem:
            return str(problem)
        return "everything was finished" if answer.get("complete") else "not everything; the rest is in the store"

    def restart(self):
        """Restart the unit, even if it has given up."""
        host_writing.run(["systemctl", "reset-failed", self.wanted["service"]])
        host_writing.run(["systemctl", "restart", self.wanted["service"]], timeout=120)

    def runs_current(self):
        """Return whether the daemon was started since the current release was put there."""
        service = self.wanted["service"]
        return host_reading.unit_states([service], self.wanted["prefix"])[service] == "enabled"

    def healthy(self):
        """Wait until the daemon says that it is well; return (reached, sentence)."""
        started = time.monotonic()
        while True:
            try:
                answer = control.ask(self.wanted["control_socket"], {"command": "status"})
            except control.ControlError as problem:
                answer = {"ok": False, "reason": str(problem)}
            in_force = all(answer.get(key) == value for key, value in self.wanted["facts"].items())
            if in_force and all(readiness.EXPECTATIONS[name](answer, None) for name in self.wanted["expect"]):
                return True, readiness.sentence(answer)
            if time.monotonic() - started > self.wanted["limit"]:
                return False, f"after {self.wanted['limit']} s it says {readiness.sentence(answer)}"
            time.sleep(POLL)


def run(module):
    """Run the module."""
    wanted, prefix, name = module.params, module.params["prefix"], module.params["release"]
    before = release_switching.target_of(prefix, "current")
    host = Host(wanted)
    if module.check_mode:
        module.exit_json(changed=name != before, did=[], before=before, after=name)
    try:
        did = release_switching.switch(
            prefix,
            name,
            accepts=host.accepts,
            drain=host.drain,
            restart=host.restart,
            healthy=host.healthy,
            runs_current=host.runs_current,
        )
    except release_switching.SwitchError as problem:
        after = release_switching.target_of(prefix, "current")
        module.fail_json(
            msg=f"[migration-upgrade] {problem}", code="migration-upgrade", did=[], before=before, after=after
        )
    module.exit_json(changed=bool(did), did=did, before=before, after=name)
