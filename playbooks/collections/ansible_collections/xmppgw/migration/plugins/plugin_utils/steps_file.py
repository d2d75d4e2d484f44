"""Writes what happens, as it happens, as JSON lines to the file that $XMPPGW_STEPS_FILE names.

Used by the callback plug-in and the waiting actions; read by the probe and its report. Says nothing where the
variable is not set.
"""

from __future__ import annotations

import json
import os
import time


def write(event, **facts):
    """Append one line: time, event, facts. One small write, so that lines of several processes do not mix."""
    path = os.environ.get("XMPPGW_STEPS_FILE")
    if not path:
        return
    line = json.dumps({"t": round(time.time(), 3), "event": event, **facts}, sort_keys=True) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)
