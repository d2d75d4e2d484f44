"""`xmppgw inspect`: parses one captured message with the parsers of the daemons and says what they would say.

Called by `program`. Reads one file; sends nothing and asks nobody.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from xmppgw.cli.exits import FINE, REFUSED
from xmppgw.sip.message import Frame as SipFrame
from xmppgw.sip.message import (
    Framer,
    FramingLost,
    Limits,
    Request,
    SipSyntaxError,
    is_response,
    parse_request,
    parse_response,
)
from xmppgw.xmpp.element import Element
from xmppgw.xmpp.parser import ElementRead, ParseFailure, StreamHeader, StreamParser, parse_stanza
from xmppgw.xmpp.stanza import FatalStanzaError, Stanza, StanzaError, read_stanza
from xmppgw.xmpp.stream import StreamLimits

# Beyond what either parser reads of one message.
MAXIMUM_BYTES: Final = 2 * 1024 * 1024

Finding = dict[str, object]


class _Refused(Exception):  # noqa: N818 - what the daemons would say to the peer
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.finding: Finding = {"ok": False, "code": code, "reason": reason}


def inspect(protocol: str, path: Path, form: str) -> int:
    """Print what the file holds; return 0 if the daemons would take it, 1 if not."""
    try:
        finding = _sip(_read(path)) if protocol == "sip" else _xmpp(_read(path))
    except _Refused as refused:
        finding = refused.finding
    if form == "json":
        print(json.dumps(finding, indent=2, ensure_ascii=True))
    else:
        print("\n".join(f"{name}: {_plain(value)}" for name, value in finding.items()))
    return FINE if finding["ok"] else REFUSED


def _plain(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=True)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _Refused("file-unreadable", f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAXIMUM_BYTES:
        raise _Refused("file-too-large", f"{path}: more than {MAXIMUM_BYTES} bytes")
    return data


def _sip(data: bytes) -> Finding:
    limits = Limits()
    framer = Framer(limits)
    for item in framer.feed(data):
        if isinstance(item, FramingLost):
            raise _Refused(item.problem.code, item.problem.reason)
        if isinstance(item, SipFrame):
            return _sip_message(item, limits)
    if framer.in_message:
        raise _Refused("incomplete", "the message ends before its headers or its body do (lines end with CR LF)")
    raise _Refused("empty", "there is no message")


def _sip_message(frame: SipFrame, limits: Limits) -> Finding:
    try:
        message = parse_response(frame, limits) if is_response(frame) else parse_request(frame, limits)
    except SipSyntaxError as problem:
        raise _Refused(problem.code, problem.reason) from None
    finding: Finding = {"ok": True}
    if isinstance(message, Request):
        finding |= {"kind": "request", "method": message.method, "uri": message.target}
    else:
        finding |= {"kind": "response", "status": message.status, "reason": message.reason}
    return finding | {
        "from": message.header("From"),
        "to": message.header("To"),
        "call_id": message.call_id,
        "cseq": str(message.cseq),
        "via": [str(via) for via in message.vias],
        "content_type": message.header("Content-Type"),
        "headers": [list(field) for field in message.headers],
        "body": message.body.decode("utf-8", "backslashreplace"),
    }


def _xmpp(data: bytes) -> Finding:
    limits = StreamLimits()
    data = data.strip(b" \t\r\n")
    if not data.startswith((b"<?xml", b"<stream:", b"<stream ")):
        if not data:
            raise _Refused("empty", "there is no stanza")
        try:
            return _element(parse_stanza(data, limits))
        except ValueError as problem:
            condition, _, text = str(problem).partition(": ")
            raise _Refused(condition if text else "not-well-formed", text or condition) from None
    header: StreamHeader | None = None
    elements: list[Finding] = []
    for event in StreamParser(limits).feed(data):
        if isinstance(event, ParseFailure):
            raise _Refused(event.condition, event.text)
        if isinstance(event, StreamHeader):
            header = event
        elif isinstance(event, ElementRead):
            elements.append(_element(event.element))
    if header is None:
        raise _Refused("incomplete", "the stream header is not complete")
    return {"ok": True, "kind": "stream", "attributes": header.attributes, "elements": elements}


def _element(element: Element) -> Finding:
    try:
        stanza = read_stanza(element)
    except FatalStanzaError as problem:
        raise _Refused(problem.condition, problem.text) from None
    except StanzaError as problem:
        raise _Refused(problem.condition, problem.text) from None
    return _stanza(stanza)


def _stanza(stanza: Stanza) -> Finding:
    body = stanza.element.child("body", stanza.element.namespace)
    return {
        "ok": True,
        "kind": stanza.kind,
        "type": stanza.type,
        "id": stanza.id,
        "from": str(stanza.sender),
        "to": str(stanza.recipient),
        "body": body.text if body is not None else None,
        "children": [
            {"name": child.name, "namespace": child.namespace}
            for child in stanza.element.children
            if isinstance(child, Element)
        ],
        "xml": stanza.to_bytes().decode("utf-8"),
    }
