#!/usr/bin/python
"""Read everything the planner and the guards need from one host, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_state
short_description: Read a host's part in the migration
description:
  - Reads only what is asked for and changes nothing. Called by the O(xmppgw.migration.observe#action) plug-in.
options:
  gateway:
    description: >-
      Files, units and certificates of our gateway to look at. Keys files, units, certificates, settings,
      control_socket, commands.
    type: dict
  platform:
    description: Names of the platform's tables to dump.
    type: list
    elements: str
  legacy:
    description: Whether to list the legacy gateway's streams.
    type: bool
    default: false
  reach:
    description: TCP ends to try, keys host and port; what is found is why each could not be reached, or nothing.
    type: list
    elements: dict
  next_hop:
    description: >-
      The front end's configuration (settings), with whose certificate a handshake with the SIP next hop is completed,
      and as what it is looked at while there is none (server; see O(xmppgw.migration.served_certificates#module)).
    type: dict
  outside:
    description: >-
      Servers to look at from outside our firewall, each as O(xmppgw.migration.served_certificates#module) takes it.
    type: list
    elements: dict
  state_directory:
    description: Directory of the migration's journal and lock.
    type: path
  packets:
    description: DNS messages to carry. Keys server, port, message (base64).
    type: list
    elements: dict
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Read the platform's tables
  xmppgw.migration.host_state:
    platform: [homing, route]
"""
RETURN = r"""
seen:
  description: What was found, one key for each option given.
  type: dict
  returned: always
"""

from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from ansible_collections.xmppgw.migration.plugins.module_utils import (  # noqa: E402
    control,
    host_reading,
    legacy,
    next_hop,
    packets,
    reaching,
    release_switching,
    served_certificates,
    state_directory,
    tables,
)

ARGUMENTS = {
    "gateway": {"type": "dict"},
    "platform": {"type": "list", "elements": "str"},
    "legacy": {"type": "bool", "default": False},
    "reach": {"type": "list", "elements": "dict"},
    "next_hop": {"type": "dict"},
    "outside": {"type": "list", "elements": "dict"},
    "state_directory": {"type": "path"},
    "packets": {"type": "list", "elements": "dict"},
}
SUPPORTS_CHECK_MODE = True

AT_ONCE = 8
"""Servers that are looked at side by side."""


def read_gateway(wanted):
    """Return release, files, units, certificates, settings and open ports of a gateway host."""
    version, wheels = host_reading.release()
    seen = {
        "version": version,
        "wheels": wheels,
        "previous": release_switching.target_of(host_reading.PREFIX, "previous"),
        "releases": release_switching.installed(host_reading.PREFIX),
        "files": {path: host_reading.file_digest(path) for path in wanted["files"]},
        "units": host_reading.unit_states(wanted["units"]),
        "certificates": {
            name: host_reading.certificate(paths["certificate"], paths["key"])
            for name, paths in wanted["certificates"].items()
        },
        "settings": host_reading.settings(wanted["settings"]),
        "listening": host_reading.listening(),
        "control": {},
    }
    for command in wanted.get("commands", []):
        try:
            seen["control"][command] = control.ask(wanted["control_socket"], {"command": command}, timeout=5.0)
        except control.ControlError as problem:
            seen["control"][command] = {"ok": False, "reason": str(problem)}
    return seen


def read_legacy():
    """Return (streams, why they could not be read). A silent gateway is for the guards to judge."""
    try:
        return [] if legacy.switched_off() else [list(stream) for stream in legacy.streams()], None
    except legacy.LegacyError as problem:
        return [], str(problem)


def run(module):
    """Run the module."""
    wanted, seen = module.params, {}
    try:
        if wanted["gateway"]:
            seen["gateway"] = read_gateway(wanted["gateway"])
        if wanted["platform"]:
            seen["platform"] = {table: tables.dump(table) for table in wanted["platform"]}
        if wanted["legacy"]:
            seen["legacy"], seen["legacy_problem"] = read_legacy()
            seen["legacy_off"] = legacy.switched_off()
        if wanted["reach"]:
            seen["reach"] = reaching.try_all(wanted["reach"])
        if wanted["next_hop"]:
            seen["next_hop"] = next_hop.seen_from_here(wanted["next_hop"]["settings"], wanted["next_hop"]["server"])
        if wanted["outside"]:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                seen["outside"] = list(pool.map(served_certificates.first_that_answers, wanted["outside"]))
        if wanted["state_directory"]:
            seen["state"] = state_directory.read_state(wanted["state_directory"])
        if wanted["packets"]:
            seen["packets"] = packets.carry_together(wanted["packets"])
    except tables.TableError as problem:
        module.fail_json(msg=f"[migration-unreachable] {problem}", code="migration-unreachable")
    module.exit_json(changed=False, seen=seen)
