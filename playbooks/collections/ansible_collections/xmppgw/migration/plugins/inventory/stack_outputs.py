"""Inventory plug-in: hosts and groups from the one output object of a Pulumi stack.

Ansible loads it for sources whose `plugin` is `xmppgw.migration.stack_outputs`. It reads a file and nothing else: no
engine is asked, no host is contacted. Values stay untrusted, so a template in an output is text.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = r"""
name: stack_outputs
short_description: Hosts and groups from the outputs of an xmppgw Pulumi stack
author: xmppgw
description:
  - Reads the stack's output object, schema 1, which either engine writes to C(.lab/outputs.json).
  - Makes one host per host of the stack, in the groups that the stack gives it, reached by SSH with the pinned host key
    and through the proxy command that the outputs name.
options:
  plugin:
    description: Name of this plug-in.
    required: true
    choices: [xmppgw.migration.stack_outputs]
  stack:
    description: Name of the stack; outputs of another stack are refused.
    required: true
    type: str
  outputs:
    description:
      - Path of the outputs file, relative to the inventory source.
      - The environment variable E(XMPPGW_LAB_DIR), where set, names the directory of C(outputs.json) instead.
    default: ../../.lab/outputs.json
    type: str
  root:
    description: The project's root, relative to the inventory source; relative paths in the outputs start there.
    default: ../..
    type: str
"""

EXAMPLES = r"""
# inventories/lab/lab.xmppgw.yml
plugin: xmppgw.migration.stack_outputs
stack: lab
"""

SCHEMA = 1
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
GROUP = re.compile(r"[a-z][a-z0-9_]{0,62}")
HOST_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+={0,3}")
# Longest directory in which ssh can still make its control sockets (108 bytes, less a hash and a random suffix).
CONTROL_DIRECTORY_BYTES = 60


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
        file = Path(lab, "outputs.json") if lab else source / self.get_option("outputs")
        outputs = self._outputs(file)
        root = (source / self.get_option("root")).resolve()
        self._connection = self._ssh(outputs.get("ssh"), root, file)
        hosts = outputs.get("hosts")
        if not isinstance(hosts, dict) or not hosts:
            raise AnsibleParserError(f"{file}: there are no hosts in the outputs")
        for name, host in sorted(hosts.items()):
            self._add(name, host, file)
        self.inventory.set_variable("all", "stack_outputs", str(file.resolve()))

    def _outputs(self, file):
        try:
            outputs = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise AnsibleParserError(f"{file} does not exist: the stack is not up; `make lab-up` makes it") from None
        except ValueError as problem:
            raise AnsibleParserError(f"{file} is not JSON: {problem}") from None
        if not isinstance(outputs, dict) or outputs.get("schema") != SCHEMA:
            found = outputs.get("schema") if isinstance(outputs, dict) else None
            raise AnsibleParserError(f"{file}: outputs of schema {found!r}; this plug-in reads schema {SCHEMA}")
        wanted = self.get_option("stack")
        if outputs.get("stack") != wanted:
            raise AnsibleParserError(
                f"{file}: outputs of stack {outputs.get('stack')!r}, the inventory is for {wanted!r}"
            )
        return outputs

    def _ssh(self, ssh, root, file):
        """Connection variables that all hosts share."""
        if not isinstance(ssh, dict):
            raise AnsibleParserError(f"{file}: `ssh` is missing")
        texts = {key: ssh.get(key) for key in ("user", "private_key", "known_hosts", "proxy_command")}
        for key, text in texts.items():
            if not isinstance(text, str) or not text.isprintable() or '"' in text:
                raise AnsibleParserError(f"{file}: ssh.{key} is {text!r}, expected one line of text without quotes")
        known_hosts = root / texts["known_hosts"]
        if set("'\"%\n") & set(str(known_hosts)):
            raise AnsibleParserError(f"ssh cannot use the path {known_hosts}: move the project")
        arguments = [
            f'-o ProxyCommand="{texts["proxy_command"]}"',
            # Quoted twice: for Ansible, which splits the arguments, and for ssh, which takes a list of files.
            f"-o 'UserKnownHostsFile=\"{known_hosts}\"'",
            "-o GlobalKnownHostsFile=/dev/null",
            "-o StrictHostKeyChecking=yes",
            "-o IdentitiesOnly=yes",
        ]
        variables = {
            "ansible_user": texts["user"],
            "ansible_ssh_private_key_file": str(root / texts["private_key"]),
            "ansible_ssh_common_args": " ".join(arguments),
        }
        # Two labs have the same addresses: connections kept open must not be shared between them.
        sockets = str(known_hosts.parent / "cp")
        if len(sockets) <= CONTROL_DIRECTORY_BYTES:
            variables["ansible_control_path_dir"] = sockets
        return variables

    def _add(self, name, host, file):
        if not NAME.fullmatch(name) or not isinstance(host, dict):
            raise AnsibleParserError(f"{file}: {name!r} is not a host's name with a mapping")
        try:
            address = str(ipaddress.ip_address(host["address"]))
            addresses = [str(ipaddress.ip_address(item)) for item in host["addresses"]]
            groups = sorted(host["groups"])
            key = host["host_key"]
        except (KeyError, TypeError, ValueError) as problem:
            raise AnsibleParserError(f"{file}: host {name}: {problem!r}") from None
        if not all(isinstance(group, str) and GROUP.fullmatch(group) for group in groups):
            raise AnsibleParserError(f"{file}: host {name}: {groups!r} are not all group names")
        if not isinstance(key, str) or not HOST_KEY.fullmatch(key):
            raise AnsibleParserError(f"{file}: host {name}: its host key is not an OpenSSH public key")
        self.inventory.add_host(name)
        for group in groups:
            self.inventory.add_group(group)
            self.inventory.add_child(group, name)
        variables = {
            **self._connection,
            "ansible_host": address,
            "address": address,
            "addresses": addresses,
            "zone": str(host.get("zone", "")),
        }
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, value)
