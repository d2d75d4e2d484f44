"""What attempts to connect say about the firewalls between: as the port table has it, or not. Pure."""

from __future__ import annotations

OK, CLOSED, OPEN, UNPROVED, UNTRIED = "ok", "closed", "open", "unproved", "untried"
HARMLESS = (UNPROVED, UNTRIED)


NOBODY_OUTSIDE = (
    "note:     nobody outside has tried row s2s-in [migration-vantage]: put a host beyond our firewall into the "
    "inventory's group vantage."
)


def verdict(tried):
    """Return what one attempt shows.

    A refusal is an answer of the far end, or of a firewall that rejects: of a row that is as good as open, as nothing
    listens before our daemons are there; of what no row names it proves neither.
    """
    if tried["found"] == "untried":
        return UNTRIED
    if tried["allowed"]:
        return CLOSED if tried["found"] == "silent" else OK
    return {"accepted": OPEN, "refused": UNPROVED, "silent": OK}[tried["found"]]


def line(host, tried):
    """Say one attempt that is not as it should be, with what to do."""
    end = f"[{tried['address']}]" if ":" in tried["address"] else tried["address"]
    what = f"{host} ({tried['source'] or 'outside'}) to {end}:{tried['port']}/{tried['transport']}"
    return {
        CLOSED: f"closed:   {what}: row {tried['row']} wants it; {tried['why']}. Ask for it: xmppgw firewall request.",
        OPEN: f"open:     {what}: no row names it, and {tried['row']} answered. Close it.",
        UNPROVED: f"unproved: {what}: refused, by {tried['row']} or by a firewall that rejects. Let it drop instead, "
        "then this can tell.",
        UNTRIED: f"untried:  {what}: {tried['why']} on {host}.",
    }[verdict(tried)]


def report(reached, vantages=()):
    """Return the report about {host: attempts}: counts, and every attempt that is not as it should be. `vantages`:
    those of the hosts that stand outside our firewall."""
    judged = [(host, tried, verdict(tried)) for host, attempts in sorted(reached.items()) for tried in attempts]
    wrong = [(host, tried, found) for host, tried, found in judged if found != OK]
    return {
        "schema": 1,
        "differs": any(found not in HARMLESS for _, _, found in wrong),
        "vantages": sorted(vantages),
        "tried": {
            "rows": sum(tried["allowed"] for _, tried, _ in judged),
            "others": sum(not tried["allowed"] for _, tried, _ in judged),
        },
        "nothing_listened": sum(tried["allowed"] and tried["found"] == "refused" for _, tried, _ in judged),
        "found": [{"host": host, "verdict": found, **tried} for host, tried, found in wrong],
    }


def lines(found):
    """Return the report for people."""
    tried = found["tried"]
    head = (
        f"{tried['rows']} connections of the port table and {tried['others']} that no row names were tried between the "
        "hosts."
    )
    rows = [line(item["host"], item) for item in found["found"]]
    if found["nothing_listened"]:
        rows.append(
            f"note:     {found['nothing_listened']} of the table's were refused: let through, as far as can be told, "
            "and nothing listens there yet."
        )
    if not found["vantages"]:
        rows.append(NOBODY_OUTSIDE)
    end = f"The firewalls are {'not ' if found['differs'] else ''}as the port table says."
    return [head, *(f"  {row}" for row in rows), end]
