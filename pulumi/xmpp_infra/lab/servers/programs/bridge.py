"""The bridge of the lab's legacy gateway: an XMPP component on one side, Kamailio's HTTP and JSON-RPC on the other.

Started as `bridge.py SETTINGS.json`. Prosody speaks server-to-server for it, Kamailio speaks SIP. It carries text and
its errors and keeps nothing on disk. It stands in for Microsoft's gateway; nothing of the new gateway is in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import uuid
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.stanza import Message

REMEMBERED = 50_000  # messages sent towards XMPP whose Call-ID an error may still name
WAITING_LIMIT = 2_000  # messages towards SIP that wait their turn; what is beyond it is returned
ANSWER_SECONDS = 30.0  # Kamailio answers an RPC when the final SIP response is there, 12 s at most
STANZA_ERRORS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
# RFC 7247 table 3; what is not in it goes by the class of the code.
CONDITIONS = {
    403: "forbidden", 404: "item-not-found", 405: "feature-not-implemented", 408: "remote-server-timeout", 410: "gone",
    413: "policy-violation", 480: "recipient-unavailable", 481: "item-not-found", 486: "recipient-unavailable",
    501: "feature-not-implemented", 502: "remote-server-not-found", 504: "remote-server-timeout",
}  # fmt: skip
BY_CLASS = {3: "redirect", 4: "bad-request", 5: "internal-server-error", 6: "recipient-unavailable"}
TEMPORARY = {"remote-server-timeout", "recipient-unavailable", "internal-server-error", "resource-constraint"}


async def read_http(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401
    """The decoded JSON body of one HTTP message on loopback."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(":") for line in head[1:])}
    return json.loads(await reader.readexactly(int(fields["content-length"])))


class Bridge(slixmpp.ComponentXMPP):
    """One SIP domain: a component stream to Prosody and an HTTP server for Kamailio."""

    def __init__(self, settings: dict[str, Any], domain: str, http_port: int) -> None:
        super().__init__(domain, settings["secret"], "127.0.0.1", settings["component_port"])  # type: ignore[no-untyped-call]
        self.settings, self.http_port = settings, http_port
        self.attached = False
        self.sent: OrderedDict[str, None] = OrderedDict()
        self.turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.waiting = 0
        self.add_event_handler("session_start", self.on_attached)
        self.add_event_handler("disconnected", self.on_detached)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("message_error", self.on_error)

    async def serve(self) -> None:
        """Run until killed."""
        server = await asyncio.start_server(self.on_kamailio, "127.0.0.1", self.http_port)
        self.connect()
        await server.serve_forever()

    def on_attached(self, _event: object) -> None:
        """Prosody took the component's secret."""
        self.attached = True
        logging.info("attached to Prosody as %s", self.boundjid.bare)

    async def on_detached(self, _event: object) -> None:
        """The stream to Prosody ended (it was restarted): until it is back, SIP senders are told so."""
        self.attached = False
        await asyncio.sleep(0.2)
        self.connect()

    async def on_kamailio(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer Kamailio's POSTs on one connection."""
        try:
            while True:
                status = "200 OK" if self.send_xmpp(await read_http(reader)) else "503 Detached"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (OSError, EOFError, ValueError, KeyError):
            writer.close()

    def send_xmpp(self, message: dict[str, str]) -> bool:
        """SIP to XMPP: true once the stanza is on its way to Prosody; the stanza's id is the Call-ID."""
        if not self.attached:
            return False
        sender, recipient = (message[end].partition(":")[2].partition(";")[0] for end in ("from", "to"))
        stanza = self.make_message(mto=recipient, mfrom=sender, mbody=message["body"], mtype="chat")
        stanza["id"] = message["call_id"]
        self.sent[message["call_id"]] = None
        if len(self.sent) > REMEMBERED:
            self.sent.popitem(last=False)
        stanza.send()
        return True

    async def on_message(self, stanza: Message) -> None:
        """XMPP to SIP, in order within one conversation; a final failure goes back as an error stanza."""
        if stanza["type"] not in ("chat", "normal") or not stanza["body"]:
            return
        if self.waiting >= WAITING_LIMIT:
            self.refuse(stanza, "resource-constraint", "too many messages wait")
            return
        pair = (stanza["from"].bare, stanza["to"].bare)
        self.waiting += 1
        async with self.turns[pair]:
            code, reason = await self.send_sip(*pair, stanza["body"])
        self.waiting -= 1
        if code >= 300:
            self.refuse(stanza, CONDITIONS.get(code) or BY_CLASS[code // 100], f"{code} {reason}")

    async def on_error(self, stanza: Message) -> None:
        """An XMPP error becomes a notice to the SIP user, in reply to their message if it went through here."""
        reference = stanza["id"] or "none"
        # From the XML: slixmpp looks for errors in the clients' namespace only, and a component's stanzas have another.
        details = [child for child in stanza.xml.iterfind(".//") if child.tag.startswith(STANZA_ERRORS)]
        reasons = [child.text or child.tag.removeprefix(STANZA_ERRORS) for child in details] or ["no reason given"]
        body = f"Message not delivered: {reasons[-1]} (reference {reference})"
        extra = f"In-Reply-To: {reference}\r\n" if reference in self.sent else ""
        code, answer = await self.send_sip(stanza["from"].bare, stanza["to"].bare, body, extra)
        if code >= 300:
            logging.warning("notice about %s to %s refused: %s %s", reference, stanza["to"].bare, code, answer)

    def refuse(self, stanza: Message, condition: str, text: str) -> None:
        """Return a message to its XMPP sender."""
        error = self.make_message(mto=stanza["from"], mfrom=stanza["to"], mtype="error")
        error["id"], error["error"]["condition"], error["error"]["text"] = stanza["id"], condition, text
        error["error"]["type"] = "wait" if condition in TEMPORARY else "cancel"
        error.send()

    async def send_sip(self, sender: str, recipient: str, body: str, extra: str = "") -> tuple[int, str]:
        """Final code and reason of one MESSAGE sent by Kamailio; 500 when Kamailio itself could not be asked."""
        headers = f"From: <sip:{sender}>\r\nTo: <sip:{recipient}>\r\nCall-ID: {uuid.uuid4()}\r\n{extra}"
        headers += "Content-Type: text/plain\r\n"
        parameters = ["MESSAGE", f"sip:{recipient}", self.settings["next_hop"], ".", headers, body]
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tm.t_uac_wait", "params": parameters}).encode()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.settings["rpc_port"])
            writer.write(f"POST /RPC HTTP/1.1\r\nHost: kamailio\r\nContent-Length: {len(call)}\r\n\r\n".encode() + call)
            answer = await asyncio.wait_for(read_http(reader), ANSWER_SECONDS)
            writer.close()
            return int(answer["result"][0]), str(answer["result"][1])
        except (OSError, EOFError, TimeoutError, KeyError, ValueError, TypeError) as problem:
            return 500, f"SIP side: {problem!r}"


async def main(settings: dict[str, Any]) -> None:
    """Serve every domain until killed."""
    await asyncio.gather(*(Bridge(settings, *domain).serve() for domain in settings["domains"].items()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
