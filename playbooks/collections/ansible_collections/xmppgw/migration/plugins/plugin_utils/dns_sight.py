"""What the world sees of our SRV records: authoritative servers, their serials and signatures, and resolvers.

Used by the action `dns_view` and by the picture. Pure: answers in, facts and sentences out. A problem is something to
stop for; a notice is something to know.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, rrsets


def lag(serials):
    """Return sentences on servers whose serial is behind. `serials`: server to SOA serial (RFC 1982 arithmetic)."""
    if not serials:
        return []
    newest = next(iter(serials.values()))
    for serial in serials.values():
        if _later(serial, newest):
            newest = serial
    ahead = sorted(server for server, serial in serials.items() if serial == newest)[0]
    return [
        f"{server} is {(newest - serial) % 2**32} behind: serial {serial}, {ahead} has {newest}"
        for server, serial in sorted(serials.items())
        if serial != newest
    ]


def _later(one, other):
    return 0 < (one - other) % 2**32 < 2**31


def answered(answer, name):
    """Return a resolver's answer on an SRV RRset, or what is wrong with it."""
    try:
        return dns_messages.read_answer(answer, name, "SRV")
    except dns_messages.DnsError as problem:
        return {"error": str(problem), "rcode": "", "rrset": None, "validated": False}


def unsigned(name, answers):
    """Return problems of a signed zone: servers that give `name` without a signature. `answers`: server to answer."""
    return [
        f"{name}: {server} serves the zone signed, but this RRset without a signature"
        for server, answer in sorted(answers.items())
        if answer["rrset"] is not None and not answer["signed"]
    ]


def resolvers_say(name, answers, expected, *, signed):
    """Return (problems, notices) on what resolvers answer for `name`.

    `answers`: resolver to {rcode, rrset, validated, unchecked}; `unchecked` is what it says with checking disabled, or
    None if that was not asked. `expected` is what the authoritative servers serve; resolvers count the TTL down, so
    only the records are compared.
    """
    problems, notices, views = [], [], {}
    for resolver, answer in sorted(answers.items()):
        if answer.get("error"):
            notices.append(f"{name}: resolver {resolver} does not answer: {answer['error']}")
            continue
        if answer["rcode"] == "SERVFAIL" and (answer.get("unchecked") or {}).get("rcode") == "NOERROR":
            problems.append(f"{name}: the signature does not hold: resolver {resolver} refuses the answer as bogus")
            continue
        if answer["rcode"] not in ("NOERROR", "NXDOMAIN"):
            notices.append(f"{name}: resolver {resolver} answers {answer['rcode']}")
            continue
        views.setdefault(tuple((answer["rrset"] or {}).get("records", ())), []).append(resolver)
        if (answer["rrset"] or {}).get("records") != (expected or {}).get("records"):
            notices.append(
                f"{name}: resolver {resolver} says {rrsets.show(answer['rrset'])}, the authoritative servers say "
                f"{rrsets.show(expected)} (an old answer, or a view of its own)"
            )
    if len(views) > 1:
        said = "; ".join(f"{', '.join(who)}: {'; '.join(what) or 'nothing'}" for what, who in sorted(views.items()))
        notices.append(f"{name}: resolvers see different zones: {said}")
    if signed and answers and not any(answer.get("validated") for answer in answers.values()) and not problems:
        notices.append(f"{name}: the zone is signed, but no configured resolver says that it validated the answer")
    return problems, notices
