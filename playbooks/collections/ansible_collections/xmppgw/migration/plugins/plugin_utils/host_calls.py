"""How a module of this collection gets to a host: its arguments checked here, its source and what it imports packed.

Used by the actions, on the controller only. modules/on_host.py unpacks it there.
"""

from __future__ import annotations

import base64
import importlib
import json
import zlib
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

PLUGINS = "ansible_collections.xmppgw.migration.plugins"
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
    files = [*sorted((_FOLDER / "module_utils").glob("*.py")), _FOLDER / "modules" / f"{name}.py"]
    sources = {f"{PLUGINS}.{path.parent.name}.{path.stem}": path.read_text(encoding="utf-8") for path in files}
    packed = zlib.compress(json.dumps(sources).encode(), 1)
    return {"name": name, "arguments": checked(name, arguments), "sources": base64.b64encode(packed).decode()}
