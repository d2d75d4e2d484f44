"""What an administrator proved on the platform: the file that the runbook's first act writes.

Read by the guard `migration-route-evidence`. Reads one file; one that cannot be used is as good as none, and says why.
"""

from __future__ import annotations

import json
from pathlib import Path

FIRST_ACT = "first-act.json"
WINNERS = ("static_route", "native_partner")


def read_first_act(folder, federation):
    """Return (winner, problem): `static_route`, `native_partner` or "", and why there is no winner."""
    path = Path(folder) / FIRST_ACT
    try:
        # Windows PowerShell may put a byte order mark in front.
        act = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return "", f"there is no {path}"
    except (OSError, ValueError) as error:
        return "", f"{path} cannot be read: {error}"
    if not isinstance(act, dict) or act.get("schema") != 1 or act.get("winner") not in WINNERS:
        return "", f"{path} is not what the runbook's first act writes"
    pools = {pool.fqdn for pool in federation.pools}
    if str(act.get("pool", "")).lower() not in pools:
        return "", f"{path} is about the pool {str(act.get('pool'))[:80]!r}, not one of this document's"
    if str(act.get("partner", "")).lower() != federation.pilot.partner:
        return "", f"{path} is about the partner {str(act.get('partner'))[:80]!r}, not the document's pilot.partner"
    return act["winner"], ""
