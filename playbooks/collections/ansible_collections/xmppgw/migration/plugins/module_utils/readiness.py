"""What an answer of a daemon's control socket must show before a step goes on.

Used by the module `gateway_control`. Pure: an answer in, yes or no out. `domains` are those of the partner that is
asked about: its primary one and the additional ones.
"""

from __future__ import annotations


def _streams(answer, domains):
    return [stream for stream in answer.get("streams") or [] if stream.get("remote") in (domains or ())]


def inbound_streams(answer, domains):
    """Return the streams on which a partner speaks to us: inbound, authenticated, and ended here."""
    return [
        stream
        for stream in _streams(answer, domains)
        if stream.get("direction") == "in" and stream.get("method") not in ("none", "spliced")
    ]


def spliced_streams(answer, domains):
    """Return the connections of a partner that our edge only joins to the legacy gateway (DESIGN 7.3)."""
    return [stream for stream in _streams(answer, domains) if stream.get("method") == "spliced"]


def _ok(answer, _domains):
    return bool(answer.get("ok"))


def _inbound(answer, domains):
    return bool(answer.get("ok")) and bool(inbound_streams(answer, domains))


def _no_inbound(answer, domains):
    return bool(answer.get("ok")) and not inbound_streams(answer, domains)


def _no_spliced(answer, domains):
    return bool(answer.get("ok")) and not spliced_streams(answer, domains)


def _links_up(answer, _domains):
    links = answer.get("links") or []
    return bool(answer.get("ok")) and bool(links) and all(link.get("state") == "up" for link in links)


def _platform_up(answer, _domains):
    return bool(answer.get("ok")) and (answer.get("sip") or {}).get("state") == "up"


def _drained(answer, domains):
    queues = answer.get("queues") or {}
    return bool(answer.get("ok")) and not any(queues.get(domain) for domain in domains or queues)


EXPECTATIONS = {
    "ok": _ok,
    "inbound": _inbound,
    "no_inbound": _no_inbound,
    "no_spliced": _no_spliced,
    "links_up": _links_up,
    "platform_up": _platform_up,
    "drained": _drained,
}
"""Name of an expectation to its test."""


def sentence(answer):
    """Return an answer in one line for a failure message."""
    if not answer.get("ok"):
        return str(answer.get("reason", answer))
    shown = {
        key: answer[key]
        for key in ("partners", "federation_enabled", "access_policy", "streams", "links", "sip", "queues")
        if key in answer
    }
    return str(shown or answer)[:600]
