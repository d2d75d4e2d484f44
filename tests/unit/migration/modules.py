"""Runs a module of the collection in this process, as a host would, and returns its result."""

import json

from ansible_collections.xmppgw.migration.plugins.module_utils.host_task import perform
from ansible_collections.xmppgw.migration.plugins.plugin_utils.host_calls import checked


def run_module(module, check=False, **arguments):
    """Return the result of a module with these arguments."""
    name = module.__name__.rpartition(".")[2]
    return json.loads(json.dumps(perform(module, checked(name, arguments), check)))
