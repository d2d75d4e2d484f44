"""What an SRV RRset must become: TTL lowered first, targets changed last, foreign records kept.

Used by the planner's callers and by rollback. Pure; a record is `priority weight port target.` in lower case.
"""

from __future__ import annotations


def target(record):
    """Return the target of an SRV record in text form, without its dot."""
    return record.split()[3].rstrip(".").lower()


def lowered(seen, legacy_records, ttl):
    """Return the RRset of step 4: what is there now at the migration's TTL.

    A domain without SRV first gets one that points at the legacy gateway, so that the change of step 6 is a change of
    targets and no partner ever falls back to the domain's address record (RFC 6120 section 3.2.2).
    """
    records = seen["records"] if seen else legacy_records
    return {"ttl": ttl, "records": sorted(records)}


def switched(seen, legacy_records, our_records, ttl):
    """Return the RRset of step 6: our edges instead of the legacy gateway, and every record that is neither."""
    leaving = {target(record) for record in legacy_records}
    ours = {target(record) for record in our_records}
    foreign = [record for record in (seen["records"] if seen else []) if target(record) not in leaving | ours]
    return {"ttl": ttl, "records": sorted({*foreign, *our_records})}


def disagreements(name, by_server):
    """Return sentences on servers that do not serve the same RRset as the first one. `by_server`: address to RRset."""
    servers = sorted(by_server)
    if not servers:
        return []
    first = by_server[servers[0]]
    return [
        f"{name}: {server} says {show(by_server[server])}, {servers[0]} says {show(first)}"
        for server in servers[1:]
        if by_server[server] != first
    ]


def differences(expected, found):
    """Return what somebody else changed, each in words: records added and removed, the TTL; empty if nothing."""
    if expected is None or found is None:
        return [] if expected == found else [f"expected {show(expected)}, found {show(found)}"]
    added = sorted(set(found["records"]) - set(expected["records"]))
    removed = sorted(set(expected["records"]) - set(found["records"]))
    said = [f"added {record}" for record in added] + [f"removed {record}" for record in removed]
    if expected["ttl"] != found["ttl"]:
        said.append(f"TTL {expected['ttl']} became {found['ttl']}")
    return said


def show(rrset):
    """Return an RRset in one line."""
    return "nothing" if rrset is None else f"TTL {rrset['ttl']} {'; '.join(rrset['records'])}"
