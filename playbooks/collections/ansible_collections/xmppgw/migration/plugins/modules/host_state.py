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

# Each part imports what it needs itself: a run looks at every host many times, and to most parts of it one host or two
# give anything, but importing all of them takes longer than looking.


def read_gateway(wanted):
    """Return release, files, units, certificates, settings and open ports of a gateway host."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import (  # noqa: PLC0415
        control,
        host_reading,
        release_switching,
    )

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
        "runs_on": host_reading.runs_on(),
        "control": {},
    }
    for command in wanted.get("commands", []):
        try:
            seen["control"][command] = control.ask(wanted["control_socket"], {"command": command}, timeout=5.0)
        except control.ControlError as problem:
            seen["control"][command] = {"ok": False, "reason": str(problem)}
    return {"gateway": seen}


def read_platform(names):
    """Return the platform's tables; raises UnansweredError."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import tables  # noqa: PLC0415

    try:
        return {"platform": {table: tables.dump(table) for table in names}}
    except tables.TableError as problem:
        raise UnansweredError(str(problem)) from problem


def read_legacy(_wanted):
    """Return its streams, or why they could not be read: a silent gateway is for the guards to judge."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import legacy  # noqa: PLC0415

    off, streams, problem = legacy.switched_off(), [], None
    try:
        streams = [] if off else [list(stream) for stream in legacy.streams()]
    except legacy.LegacyError as error:
        problem = str(error)
    return {"legacy": streams, "legacy_problem": problem, "legacy_off": off}


def read_reach(ends):
    """Return why each end could not be reached, or nothing."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import reaching  # noqa: PLC0415

    return {"reach": reaching.try_all(ends)}


def read_next_hop(wanted):
    """Return what the SIP next hop serves."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import next_hop  # noqa: PLC0415

    return {"next_hop": next_hop.seen_from_here(wanted["settings"], wanted["server"])}


def read_outside(servers):
    """Return what servers show to whoever comes from outside."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from ansible_collections.xmppgw.migration.plugins.module_utils import served_certificates  # noqa: PLC0415

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {"outside": list(pool.map(served_certificates.first_that_answers, servers))}


def read_state(directory):
    """Return the migration's journal and lock."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import state_directory  # noqa: PLC0415

    return {"state": state_directory.read_state(directory)}


def read_packets(messages):
    """Return what name servers answered."""
    from ansible_collections.xmppgw.migration.plugins.module_utils import packets  # noqa: PLC0415

    return {"packets": packets.carry_together(messages)}


PARTS = {
    "gateway": read_gateway,
    "platform": read_platform,
    "legacy": read_legacy,
    "reach": read_reach,
    "next_hop": read_next_hop,
    "outside": read_outside,
    "state_directory": read_state,
    "packets": read_packets,
}


class UnansweredError(Exception):
    """What must be known is not."""


def run(module):
    """Run the module."""
    seen = {}
    try:
        for part, read in PARTS.items():
            if module.params[part]:
                seen.update(read(module.params[part]))
    except UnansweredError as problem:
        module.fail_json(msg=f"[migration-unreachable] {problem}", code="migration-unreachable")
    module.exit_json(changed=False, seen=seen)
