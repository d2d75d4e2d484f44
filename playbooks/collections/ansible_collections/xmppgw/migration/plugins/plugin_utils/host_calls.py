"""How a module of this collection gets to a host: its arguments checked here, its source and what it imports packed.

Used by the actions, on the controller only. modules/on_host.py unpacks it there.
"""

from __future__ import annotations

import base64
import importlib
import json
import re
import zlib
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

PLUGINS = "ansible_collections.xmppgw.migration.plugins"
IMPORT = re.compile(
    rf"^ *from {re.escape(PLUGINS)}\.module_utils(?:\.(\w+))? import (\([\w\s,]+\)|[\w ,]+)", re.MULTILINE
)
"""One module_utils by its name, or several that are listed; as the formatter writes them."""
_FOLDER = Path(__file__).parent.parent


def checked(name, arguments):
    """Return a module's arguments with its defaults; raise PictureError if they are not what it takes."""
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    # A path is one on the host: nothing of this machine (`~`, `$HOME`) may be put in for it.
    spec = {
        option: {**facts, "type": "str"} if facts.get("type") == "path" else facts
        for option, facts in module.ARGUMENTS.items()
    }
    validator = ArgumentSpecValidator(spec, mutually_exclusive=getattr(module, "MUTUALLY_EXCLUSIVE", None))
    found = validator.validate(arguments)
    if found.error_messages:
        raise PictureError("migration-arguments", f"{name}: {'; '.join(found.error_messages)}")
    return found.validated_parameters


def carried(name, arguments):
    """Return the arguments of on_host that run a module there."""
    packed = zlib.compress(json.dumps(sources(name)).encode())
    return {"name": name, "arguments": checked(name, arguments), "sources": base64.b64encode(packed).decode()}


def without_secrets(name, arguments, result):
    """Return a module's result without the texts that it was given as `no_log`, wherever a host may have put them."""
    options = importlib.import_module(f"{PLUGINS}.modules.{name}").ARGUMENTS
    secrets = [arguments.get(option) for option, facts in options.items() if facts.get("no_log")]
    texts = {secret for secret in secrets if isinstance(secret, str) and secret}
    return remove_values(result, texts) if texts else result


def sources(name):
    """Return the source of a module and of all that it imports of ours, by dotted name."""
    found = {}
    wanted = [f"modules.{name}", "module_utils.host_task"]
    while wanted:
        which = wanted.pop()
        full = f"{PLUGINS}.{which}"
        if full not in found:
            found[full] = (_FOLDER / f"{which.replace('.', '/')}.py").read_text(encoding="utf-8")
            wanted += [f"module_utils.{each}" for each in imported(found[full])]
    return found


def imported(text):
    """Return the names of the module_utils that a source imports."""
    bare = re.sub(r"  #.*", "", text)
    return [each for one, several in IMPORT.findall(bare) for each in ([one] if one else re.findall(r"\w+", several))]
