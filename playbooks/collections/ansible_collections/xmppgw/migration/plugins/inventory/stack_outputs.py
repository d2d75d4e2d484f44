"""Inventory plug-in: hosts and groups from the one output object of a Pulumi stack.

Ansible loads it for sources whose `plugin` is `xmppgw.migration.stack_outputs`. It reads a file, or asks the engine
that keeps the stack; it contacts no host. Host keys are pinned from the outputs into a known_hosts file of its own, so
that nobody trusts on first use. Values stay untrusted, so a template in an output is text.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = r"""
name: stack_outputs
short_description: Hosts and groups from the outputs of an xmppgw Pulumi stack
author: xmppgw
description:
  - Reads the stack's output object, schema 1, from a file or from the engine that keeps the stack.
  - Makes one host per host of the stack, in the groups that the stack gives it, in C(zone_NAME) and, where the stack
    says so, in C(site_NAME).
  - Writes the hosts' keys to a known_hosts file beside the outputs and has SSH refuse every other key. A host without
    a key is refused.
options:
  plugin:
    description: Name of this plug-in.
    required: true
    choices: [xmppgw.migration.stack_outputs]
  stack:
    description: Name of the stack; outputs of another stack are refused.
    required: true
    type: str
  source:
    description:
      - V(file) reads O(outputs).
      - V(pulumi) asks C(pulumi stack output), V(standalone) this project's own engine.
    choices: [file, pulumi, standalone]
    default: file
    type: str
  outputs:
    description:
      - Path of the outputs file, relative to the inventory source. It holds the object itself or all outputs, as
        C(pulumi stack output --json) prints them.
      - Where the source is an engine, only its folder counts, for the known_hosts file.
      - The environment variable E(XMPPGW_LAB_DIR), where set, names the directory of C(outputs.json) instead.
    default: ../../.lab/outputs.json
    type: str
  root:
    description: The project's root, relative to the inventory source; relative paths in the outputs start there.
    default: ../..
    type: str
  host_keys:
    description:
      - A known_hosts file, relative to the inventory source, with the keys of hosts for which the outputs have none.
      - Fill it from a place that an attacker on the network cannot reach, for example the machine's console.
    type: str
  private_key:
    description: The key to sign in with, where the outputs name none; without it SSH's agent is asked.
    type: str
  proxy_command:
    description: How SSH gets to the hosts, where the outputs do not say it, for example through a bastion.
    type: str
"""

EXAMPLES = r"""
# inventories/lab/lab.xmppgw.yml
plugin: xmppgw.migration.stack_outputs
stack: lab
# Asked of Pulumi itself:
# plugin: xmppgw.migration.stack_outputs
# stack: azure-prod
# source: pulumi
"""

SCHEMA = 1
HOST_FIELDS = {"address", "addresses", "groups", "zone", "site", "host_key", "public_addresses"}
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
GROUP = re.compile(r"[a-z][a-z0-9_]{0,62}")
PLACE = re.compile(r"[a-z0-9][a-z0-9-]{0,56}")
HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+={0,3}")
# Longest directory in which ssh can still make its control sockets (108 bytes, less a hash and a random suffix).
CONTROL_DIRECTORY_BYTES = 60
# Seconds; the engine reads its state, which may be in a cloud.
ENGINE_TIMEOUT = 60


class InventoryModule(BaseInventoryPlugin):
    """The plug-in."""

    NAME = "xmppgw.migration.stack_outputs"

    def verify_file(self, path):
        """Sources are called `<something>.xmppgw.yml`."""
        return super().verify_file(path) and path.endswith((".xmppgw.yml", ".xmppgw.yaml"))

    def parse(self, inventory, loader, path, cache=True):
        """Read the source and the outputs it names, and add hosts, groups and variables."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        source = Path(path).resolve().parent
        lab = os.environ.get("XMPPGW_LAB_DIR")
        file = (Path(lab, "outputs.json") if lab else source / self.get_option("outputs")).resolve()
        root = (source / self.get_option("root")).resolve()
        outputs, where = self._outputs(file, root)
        hosts = outputs.get("hosts")
        if not isinstance(hosts, dict) or not hosts:
            raise AnsibleParserError(f"{where}: there are no hosts in the outputs")
        supplied = self._supplied_keys(source)
        read = {name: _host(name, host, supplied, where) for name, host in sorted(hosts.items())}
        known_hosts = _pin(file.with_name(f"known_hosts.{outputs['stack']}"), read)
        connection = self._ssh(outputs.get("ssh"), root, known_hosts, where)
        for name, host in read.items():
            self._add(name, host, connection)
        self.inventory.set_variable("all", "stack_outputs", str(file))

    def _outputs(self, file, root):
        """Return (the stack's object, what to call its source in a message)."""
        stack, source = self.get_option("stack"), self.get_option("source")
        if source == "file":
            where, text = str(file), _file_text(file, stack)
        else:
            where, text = f"outputs of stack {stack} ({source})", _engine_text(source, stack, root)
        try:
            outputs = json.loads(text)
        except ValueError as problem:
            raise AnsibleParserError(f"{where} is not JSON: {problem}") from None
        if isinstance(outputs, dict) and isinstance(outputs.get("environment"), dict):
            outputs = outputs["environment"]
        if not isinstance(outputs, dict) or outputs.get("schema") != SCHEMA:
            found = outputs.get("schema") if isinstance(outputs, dict) else None
            raise AnsibleParserError(f"{where}: outputs of schema {found!r}; this plug-in reads schema {SCHEMA}")
        if outputs.get("stack") != stack:
            raise AnsibleParserError(
                f"{where}: outputs of stack {outputs.get('stack')!r}, the inventory is for {stack!r}"
            )
        return outputs, where

    def _supplied_keys(self, source):
        """Return {host name: key} from the operator's known_hosts file."""
        option = self.get_option("host_keys")
        if not option:
            return {}
        file, keys = source / option, {}
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError as problem:
            raise AnsibleParserError(f"host_keys: {file}: {problem.strerror}") from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            names, _, key = line.partition(" ")
            if not HOST_KEY.fullmatch(key.strip()):
                raise AnsibleParserError(f"{file}:{number}: expected `name[,name] type key`, as known_hosts has it")
            keys |= dict.fromkeys(names.split(","), key.strip())
        return keys

    def _ssh(self, ssh, root, known_hosts, where):
        """Connection variables that all hosts share."""
        if not isinstance(ssh, dict):
            raise AnsibleParserError(f"{where}: `ssh` is missing")
        if unknown := sorted(set(ssh) - {"user", "private_key", "known_hosts", "proxy_command"}):
            raise AnsibleParserError(f"{where}: ssh has unknown keys: {', '.join(map(str, unknown))}")
        chosen = {
            "user": ssh.get("user"),
            "private_key": ssh.get("private_key", self.get_option("private_key")),
            "proxy_command": ssh.get("proxy_command", self.get_option("proxy_command")),
        }
        for key, text in chosen.items():
            if text is None and key != "user":
                continue
            if not isinstance(text, str) or not text or not text.isprintable() or '"' in text:
                raise AnsibleParserError(f"{where}: ssh.{key} is {text!r}, expected one line of text without quotes")
        if set("'\"%\n") & set(str(known_hosts)):
            raise AnsibleParserError(f"ssh cannot use the path {known_hosts}: move the project")
        arguments = [
            *([f'-o ProxyCommand="{chosen["proxy_command"]}"'] if chosen["proxy_command"] else []),
            # Quoted twice: for Ansible, which splits the arguments, and for ssh, which takes a list of files.
            f"-o 'UserKnownHostsFile=\"{known_hosts}\"'",
            "-o GlobalKnownHostsFile=/dev/null",
            "-o StrictHostKeyChecking=yes",
            *(["-o IdentitiesOnly=yes"] if chosen["private_key"] else []),
        ]
        variables = {"ansible_user": chosen["user"], "ansible_ssh_common_args": " ".join(arguments)}
        if chosen["private_key"]:
            variables["ansible_ssh_private_key_file"] = str(root / chosen["private_key"])
        # Two labs have the same addresses: connections kept open must not be shared between them.
        sockets = str(known_hosts.parent / "ssh" / "cp")
        if len(sockets) <= CONTROL_DIRECTORY_BYTES:
            variables["ansible_control_path_dir"] = sockets
        return variables

    def _add(self, name, host, connection):
        self.inventory.add_host(name)
        for group in host["groups"]:
            self.inventory.add_group(group)
            self.inventory.add_child(group, name)
        variables = {
            **connection,
            "ansible_host": host["address"],
            **{key: host[key] for key in ("address", "addresses", "zone", "site", "public_addresses")},
        }
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, value)


def _file_text(file, stack):
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        how = "`make lab-up` makes it" if stack == "lab" else f"`pulumi stack output --json --stack {stack}` prints it"
        raise AnsibleParserError(
            f"{file} does not exist: the stack is not up, or its outputs are not here; {how}"
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise AnsibleParserError(f"{file} cannot be read: {problem}") from None


def _engine_text(source, stack, root):
    """What an engine prints for a stack's outputs."""
    program = root / "pulumi"
    command = {
        "pulumi": ["pulumi", "stack", "output", "--json", "--stack", stack, "--non-interactive"],
        "standalone": [str(root / ".venv/bin/python"), "-m", "standalone", "outputs", "--stack", stack],
    }[source]
    try:
        answer = subprocess.run(
            command, cwd=program, capture_output=True, text=True, timeout=ENGINE_TIMEOUT, check=False
        )
    except OSError as problem:
        raise AnsibleParserError(
            f"`{command[0]}` cannot be run ({problem.strerror}): install it, or give the outputs as a file"
        ) from None
    except subprocess.TimeoutExpired:
        raise AnsibleParserError(f"`{' '.join(command)}` gave no answer within {ENGINE_TIMEOUT} s") from None
    if answer.returncode != 0:
        raise AnsibleParserError(
            f"`{' '.join(command)}` ended with {answer.returncode}: {answer.stderr.strip()[-400:]}"
        )
    return answer.stdout


def _host(name, host, supplied, where):
    """Return one host of the outputs, checked, with its key and all its groups."""
    if not NAME.fullmatch(name) or not isinstance(host, dict):
        raise AnsibleParserError(f"{where}: {name!r} is not a host's name with a mapping")
    if unknown := sorted(set(host) - HOST_FIELDS):
        raise AnsibleParserError(f"{where}: host {name} has unknown keys: {', '.join(map(str, unknown))}")
    try:
        address = str(ipaddress.ip_address(host["address"]))
        addresses, public = (
            [str(ipaddress.ip_address(item)) for item in items]
            for items in (host["addresses"], host.get("public_addresses", []))
        )
        groups = sorted(host["groups"])
    except (KeyError, TypeError, ValueError) as problem:
        raise AnsibleParserError(f"{where}: host {name}: {problem!r}") from None
    if not all(isinstance(group, str) and GROUP.fullmatch(group) for group in groups):
        raise AnsibleParserError(f"{where}: host {name}: {groups!r} are not all group names")
    places = {key: host.get(key, "") for key in ("zone", "site")}
    for key, place in places.items():
        if place != "" and not (isinstance(place, str) and PLACE.fullmatch(place)):
            raise AnsibleParserError(f"{where}: host {name}: {key} {place!r} is not a plain name")
        if place:
            groups.append(f"{key}_{place.replace('-', '_')}")
    key = host.get("host_key") or supplied.get(name) or supplied.get(address)
    if key is None:
        raise AnsibleParserError(
            f"{where}: host {name} has no host key, and an unknown key is never accepted: bring the stack up again, or "
            "read the key at the machine's console and name a file with it in `host_keys`"
        )
    if not isinstance(key, str) or not HOST_KEY.fullmatch(key):
        raise AnsibleParserError(f"{where}: host {name}: its host key is not an OpenSSH public key")
    return {
        "address": address, "addresses": addresses, "public_addresses": public,
        "groups": groups, "host_key": key, **places,
    }  # fmt: skip


def _pin(file, hosts):
    """Write the keys of all hosts to a known_hosts file, in one rename, if they are not there; return the file."""
    lines = {
        f"{','.join(sorted({name, host['address'], *host['addresses']}))} {host['host_key']}\n"
        for name, host in hosts.items()
    }
    text = "".join(sorted(lines))
    try:
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as half:
                half.write(text)
            Path(half.name).replace(file)
    except OSError as problem:
        raise AnsibleParserError(f"{file}: the hosts' keys cannot be pinned there: {problem.strerror}") from None
    return file
