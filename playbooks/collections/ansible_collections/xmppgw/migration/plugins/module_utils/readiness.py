"""What an answer of a daemon's control socket must show before a step goes on.

Used by the module `gateway_control`. Pure: an answer in, yes or no out.
"""

from __future__ import annotations


def inbound_streams(answer, partner):
    """Return the streams on which `partner` speaks to us: inbound and authenticated."""
    return [
        stream
        for stream in answer.get("streams") or []
        if stream.get("remote") == partner and stream.get("direction") == "in" and stream.get("method") != "none"
    ]


def _ok(answer, _partner):
    return bool(answer.get("ok"))


def _inbound(answer, partner):
    return bool(answer.get("ok")) and bool(inbound_streams(answer, partner))


def _no_inbound(answer, partner):
    return bool(answer.get("ok")) and not inbound_streams(answer, partner)


def _links_up(answer, _partner):
    links = answer.get("links") or []
    return bool(answer.get("ok")) and bool(links) and all(link.get("state") == "up" for link in links)


def _platform_up(answer, _partner):
    return bool(answer.get("ok")) and (answer.get("sip") or {}).get("state") == "up"


def _drained(answer, _partner):
    queues = answer.get("queues") or {}
    return bool(answer.get("ok")) and not any(queues.values())


EXPECTATIONS = {
    "ok": _ok,
    "inbound": _inbound,
    "no_inbound": _no_inbound,
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
