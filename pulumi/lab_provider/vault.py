"""The lab's secrets: drawn once, kept in `.lab/secrets.json` (0600), filled into files on a host's own disk.

They never enter state or outputs; a Host resource carries the place-holders of `xmpp_infra.lab.content.secret`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
import threading

from lab_provider.places import Places, write_private

PLACE_HOLDER = re.compile(r"@@secret:([^@\n]+(?:@[^@\n]+)*)@@")
_one_at_a_time = threading.Lock()


def value(places: Places, name: str) -> str:
    """The secret's value, drawn now if this lab has none of that name yet (forms: see `content.secret`)."""
    places.lab.mkdir(parents=True, exist_ok=True, mode=0o755)
    with _one_at_a_time:
        lock = os.open(places.lab / ".secrets.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = places.lab / "secrets.json"
            known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
            if name not in known:
                known[name] = _draw(name)
                write_private(path, json.dumps(known, indent=1, sort_keys=True).encode() + b"\n")
            return known[name]
        finally:
            os.close(lock)


def fill_in(places: Places, content: str) -> str:
    """A file's content with every place-holder replaced by its secret."""
    return PLACE_HOLDER.sub(lambda match: value(places, match.group(1)), content)


def _draw(name: str) -> str:
    if name.startswith("tsig/"):
        return base64.b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(16)
