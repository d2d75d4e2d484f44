#!/usr/bin/python
"""Run one of this collection's modules on a host that has nothing of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: on_host
short_description: Run one of this collection's modules on a host
description:
  - >-
    What every module of this collection that works on a host is sent with. Called by the actions; a playbook calls the
    module itself.
  - >-
    Carries none of Ansible's library: to import that takes ten times as long as what our modules do, on every call.
options:
  name:
    description: Name of the module.
    type: str
    required: true
  arguments:
    description: Its arguments, checked and with their defaults.
    type: dict
    required: true
  sources:
    description: The module and what it may import by dotted name, as JSON, compressed by zlib, in Base64.
    type: str
    required: true
author: The xmppgw developers
"""
EXAMPLES = r"""
- name: Run a module
  xmppgw.migration.on_host:
    name: legacy_streams
    arguments: {}
    sources: ""
"""
RETURN = r"""
result:
  description: What the module returned stands at the top level.
  type: raw
  returned: never
"""

import binascii  # noqa: E402
import importlib  # noqa: E402
import importlib.machinery  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import zlib  # noqa: E402

# Ansible writes the arguments into this string. It does so, and sends us through the SSH connection's standard input,
# because of the mark of a module that takes them so (JSONARGS): <<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>
GIVEN = "<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"
PLUGINS = "ansible_collections.xmppgw.migration.plugins"


class Carried:
    """Imports what was sent along, by its full name."""

    def __init__(self, sources):
        self.sources = sources
        self.packages = {name.rsplit(".", depth)[0] for name in sources for depth in range(1, name.count(".") + 1)}

    def find_spec(self, name, path=None, target=None):
        """Return where a module is, if it was sent along."""
        if name in self.sources or name in self.packages:
            return importlib.machinery.ModuleSpec(name, self, is_package=name in self.packages)
        return None

    def create_module(self, spec):
        """Leave it to Python to make the module."""

    def exec_module(self, module):
        """Fill the module."""
        name = module.__name__
        if name in self.sources:
            exec(compile(self.sources[name], f"{name}.py", "exec"), module.__dict__)  # noqa: S102 - our own source


def main():
    """Run the module and print its result."""
    # A hardened host's would keep daemons from their own programs; what is secret is written with a mode of its own.
    os.umask(0o022)
    given = json.loads(GIVEN)
    sys.meta_path.insert(0, Carried(json.loads(zlib.decompress(binascii.a2b_base64(given["sources"])))))
    host_task = importlib.import_module(f"{PLUGINS}.module_utils.host_task")
    module = importlib.import_module(f"{PLUGINS}.modules.{given['name']}")
    print(json.dumps(host_task.perform(module, given["arguments"], given.get("_ansible_check_mode", False))))


if __name__ == "__main__":
    main()
