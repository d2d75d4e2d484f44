"""Runs on host users: numbered two-way traffic between SIP users and XMPP users, with what came of every message.

Reads its orders as one JSON line, prints "ready" when every XMPP user is on line, and at the end one JSON object.
A second line of input ends the sending if the orders name no count.
It plays the agent for Kamailio (port 8088) and is a slixmpp client for each XMPP user; people.service must be stopped.
"""

import asyncio
import json
import sys
import time
import uuid
from collections import Counter

import slixmpp

#: Silence after which nothing more is expected.
STRAGGLERS_SECONDS = 20
#: Messages that may be under way before more are sent: a slow machine is not to be buried.
UNDER_WAY = 200


class Tally:
    """What was sent and what came back, by body."""

    def __init__(self):
        self.sent = {}
        self.received = Counter()
        self.answers = {}  # body of a SIP message to its final answer
        self.reasons = {}  # the same to everything else that the answer says, its header fields among it
        self.errors = {}  # body of an XMPP message to the condition of the error that answered it
        self.texts = {}  # the same to the text of that error
        self.notices = []
        self.calls = {}  # Call-ID of a SIP message to its body
        self.through = Counter()  # who wrote the request, by the bottom-most Via
        self.delivered_by = Counter()  # who brought it here, by the topmost Via
        self.changed = asyncio.Event()

    def arrived(self, body):
        self.received[body] += 1
        self.changed.set()


class Person(slixmpp.ClientXMPP):
    def __init__(self, jid, password, tally):
        super().__init__(jid, password)
        self.ca_certs = "/etc/ssl/lab/public-ca.pem"
        self.tally, self.online, self.bodies = tally, asyncio.Event(), {}
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("message_error", self.on_error)

    async def on_session(self, _event):
        self.send_presence()
        self.online.set()

    def on_message(self, stanza):
        if stanza["type"] in ("chat", "normal"):
            self.tally.arrived(stanza["body"])

    def on_error(self, stanza):
        self.tally.errors[self.bodies[stanza["id"]]] = stanza["error"]["condition"]
        self.tally.texts[self.bodies[stanza["id"]]] = stanza["error"]["text"]
        self.tally.changed.set()

    def say(self, recipient, body):
        stanza = self.make_message(mto=recipient, mbody=body, mtype="chat")
        stanza["id"] = str(uuid.uuid4())
        self.bodies[stanza["id"]] = body
        self.tally.sent[body] = time.time()
        stanza.send()


async def read_http(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(":") for line in head[1:])}
    return json.loads(await reader.readexactly(int(fields["content-length"])))


async def send_sip(tally, proxy, sender, recipient, body):
    tally.sent[body] = time.time()
    call_id = str(uuid.uuid4())
    tally.calls[call_id] = body
    headers = f"From: <sip:{sender}>\r\nTo: <sip:{recipient}>\r\nCall-ID: {call_id}\r\nContent-Type: text/plain\r\n"
    parameters = ["MESSAGE", f"sip:{recipient}", f"sip:{proxy}:5061;transport=tls", ".", headers, body]
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tm.t_uac_wait", "params": parameters}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", 8090)
    writer.write(b"POST /RPC HTTP/1.1\r\nHost: kamailio\r\nContent-Length: %d\r\n\r\n" % len(call) + call)
    answer = await read_http(reader)
    writer.close()
    tally.answers[body] = answer["result"][:2] if "result" in answer else [0, str(answer)]
    tally.reasons[body] = [str(part) for part in answer.get("result", [])[2:]]
    tally.changed.set()


async def serve(tally):
    async def on_connection(reader, writer):
        try:
            while True:
                message = await read_http(reader)
                tally.through[message["through"]] += 1
                tally.delivered_by[message["vias"].split()[1].partition(":")[0]] += 1
                if message["body"].startswith("Message not delivered"):
                    tally.notices.append(message)
                    tally.changed.set()
                else:
                    tally.arrived(message["body"])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (EOFError, OSError):
            writer.close()

    return await asyncio.start_server(on_connection, "127.0.0.1", 8088)


async def main():
    orders = json.loads(sys.stdin.readline())
    tally = Tally()
    server = await serve(tally)
    people = {}
    for jid, (address, password) in orders["people"].items():
        people[jid] = Person(jid, password, tally)
        people[jid].connect((address, 5222))
    for person in people.values():
        await asyncio.wait_for(person.online.wait(), 120)
    print("ready", flush=True)
    calls, number = [], 0

    def under_way():
        if orders["elsewhere"]:
            return len(tally.calls) - len(tally.answers)
        refused = sum(code >= 300 for code, _ in tally.answers.values())
        return len(tally.sent) - len(tally.received) - len(tally.errors) - refused

    # With no count it goes on until its next line of input.
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    while not stop.done() if orders["count"] is None else number < orders["count"]:
        for sip, xmpp in orders["pairs"]:
            calls.append(
                asyncio.ensure_future(send_sip(tally, orders["proxy"], sip, xmpp, f"{sip} to {xmpp} {number}"))
            )
            if xmpp in people:
                people[xmpp].say(sip, f"{xmpp} to {sip} {number}")
        number += 1
        await asyncio.sleep(1 / orders["rate"])
        latest = time.time() + STRAGGLERS_SECONDS
        while under_way() > UNDER_WAY and time.time() < latest and not stop.done():
            await asyncio.sleep(0.1)
    await asyncio.gather(*calls)
    refused = {body for body, (code, _) in tally.answers.items() if code >= 300}

    def open_ends():
        noticed = {tally.calls.get(notice["in_reply_to"]) for notice in tally.notices}
        ends = set(tally.sent) - set(tally.received) - set(tally.errors) - refused - noticed
        return ends - {body for body in ends if orders["elsewhere"] and body in tally.answers}

    while open_ends() or len(tally.notices) < orders["notices"]:
        tally.changed.clear()
        try:
            await asyncio.wait_for(tally.changed.wait(), STRAGGLERS_SECONDS)
        except TimeoutError:
            break
    server.close()
    json.dump(
        {
            "sent": len(tally.sent),
            "lost": sorted(open_ends()),
            "doubled": sorted(body for body, times in tally.received.items() if times > 1),
            "answers": tally.answers,
            "reasons": tally.reasons,
            "errors": tally.errors,
            "texts": tally.texts,
            "notices": tally.notices,
            "through": tally.through,
            "delivered_by": tally.delivered_by,
        },
        sys.stdout,
    )


asyncio.get_event_loop().run_until_complete(main())
