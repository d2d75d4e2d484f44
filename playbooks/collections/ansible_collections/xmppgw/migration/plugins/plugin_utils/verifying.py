"""Does the gateway work as it stands: services, listeners, links, SIP, partners. What an administrator would look at.

Used by the action `verify`. Pure: a Picture, verdicts on certificates and answers of partners in, a list of checks out.
The product documentation looks at services, at `netstat` for 5269 and 23456, and sends a message; so does this.
"""

from __future__ import annotations

from xmppgw.federation.model import LINK_PORT, S2S_PORT

SIP_PORT = 5061


def check(subject, what, ok, found):
    """Return one check. `what` is what should be the case."""
    return {"subject": subject, "what": what, "ok": bool(ok), "found": found}


def checks(picture, verdicts, pings):
    """Return every check, in the order in which a person would look. `pings`: [{edge, partner, answer}]."""
    around, step = picture.environment, picture.history.step
    found = []
    if step >= 1:
        for host in around.front_ends:
            found += _front_end(host, picture.gateways.seen_on(host), step)
    if step >= 2:
        for host in around.edges:
            found += _edge(host, picture.gateways.seen_on(host), step)
    found += [
        check(
            item["name"],
            f"serves a good certificate (seen from {item['from']})",
            not item["findings"],
            "; ".join(f"[{one['code']}] {one['text']}" for one in item["findings"])
            or f"{item['protocol']}, ends {item['certificate']['not_after'][:10]}, OCSP {item['ocsp']['status']}",
        )
        for item in verdicts
    ]
    found += [
        check(
            item["partner"],
            f"answers a ping through {item['edge']}, there and back",
            item["answer"].get("ok"),
            item["answer"].get("reason") or "answered",
        )
        for item in pings
    ]
    return found


def _service(host, seen, name):
    state = seen["units"].get(name, "absent")
    return check(host, f"{name} is enabled and runs", state == "enabled", state)


def _listens(host, seen, port, *, wanted=True):
    open_ = port in seen["listening"]
    what = f"listens on {port}" if wanted else f"does not listen on {port} yet"
    return check(host, what, open_ == wanted, "open" if open_ else "closed")


def _links(host, status, key):
    links = status.get("links") or []
    told = ", ".join(f"{link.get(key)} {link.get('state')}" for link in links) or "none"
    return check(host, "every link is up", links and all(link.get("state") == "up" for link in links), told)


def _front_end(host, seen, step):
    status = seen["control"].get("status") or {}
    yield _service(host, seen, "xmppgw-frontend.service")
    yield _listens(host, seen, SIP_PORT)
    sip = status.get("sip") or {}
    yield check(
        host,
        "the SIP platform answers over mutual TLS",
        sip.get("state") == "up",
        f"{sip.get('next_hop', '')} {sip.get('state', status.get('reason', 'no answer'))}".strip(),
    )
    if step >= 2:
        yield _links(host, status, "edge")


def _edge(host, seen, step):
    status = seen["control"].get("status") or {}
    yield _service(host, seen, "xmppgw-edge.service")
    yield _listens(host, seen, LINK_PORT)
    yield _listens(host, seen, S2S_PORT, wanted=step >= 5)
    yield _links(host, status, "peer")
    streams = status.get("streams") or {}
    yield check(
        host,
        "says how many streams it has",
        status.get("ok"),
        f"{streams.get('in', 0)} in, {streams.get('out', 0)} out" if status.get("ok") else str(status.get("reason")),
    )


def lines(found):
    """Return the checks as text."""
    return [
        f"  {'ok  ' if item['ok'] else 'FAIL'} {item['subject']}: {item['what']} ({item['found']})" for item in found
    ]
