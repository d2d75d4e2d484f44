"""What an administrator proved on the platform: the files that scripts of the runbook write.

Read by the guard `migration-route-evidence` and by the action `restart_order`. Reads one file; one that cannot be used
is as good as none, and says why.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path

FIRST_ACT = "first-act.json"
DRAIN = "drain.json"
WINNERS = ("static_route", "native_partner")


def read_first_act(folder, federation):
    """Return (winner, problem): `static_route`, `native_partner` or "", and why there is no winner."""
    path = Path(folder) / FIRST_ACT
    act, problem = _read(path)
    if problem:
        return "", problem
    if act.get("schema") != 1 or act.get("winner") not in WINNERS:
        return "", f"{path} is not what the runbook's first act writes"
    pools = {pool.fqdn for pool in federation.pools}
    if str(act.get("pool", "")).lower() not in pools:
        return "", f"{path} is about the pool {str(act.get('pool'))[:80]!r}, not one of this document's"
    if str(act.get("partner", "")).lower() != federation.pilot.partner:
        return "", f"{path} is about the partner {str(act.get('partner'))[:80]!r}, not the document's pilot.partner"
    return act["winner"], ""


def read_drain(folder, federation):
    """Return (when the legacy proxy was restarted as epoch seconds, problem): None and why, where nothing says so."""
    path = Path(folder) / DRAIN
    act, problem = _read(path)
    if problem:
        return None, problem
    if act.get("schema") != 1 or act.get("act") != "drain":
        return None, f"{path} is not what the runbook's drain script writes"
    if str(act.get("gateway", "")).lower() != federation.legacy.gateway.fqdn:
        return None, f"{path} is about {str(act.get('gateway'))[:80]!r}, not the document's legacy gateway"
    try:
        moment = datetime.datetime.strptime(str(act.get("restarted")), "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None, f"{path} has no time of the restart"
    return moment.replace(tzinfo=datetime.UTC).timestamp(), ""


def _read(path):
    """Return (what a file says, why it cannot be used)."""
    try:
        # Windows PowerShell may put a byte order mark in front.
        act = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}, f"there is no {path}"
    except (OSError, ValueError) as error:
        return {}, f"{path} cannot be read: {error}"
    return (act, "") if isinstance(act, dict) else ({}, f"{path} is not a JSON object")
