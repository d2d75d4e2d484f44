"""Runs on fe1: SIP over mutual TLS without any SIP library, as the new gateway's stand-in in tests of the platforms.

    sip_peer.py sink SECONDS               answers every MESSAGE 202, appends its body to /root/sink.txt; the first
                                           connection waits SECONDS, as behind a socket unit whose service restarts
    sip_peer.py ask CERTIFICATE HOST < request      sends one request, prints the status line

CERTIFICATE is the stem of /root/STEM.crt and .key, or "none". Only the Python of a plain lab host is there.
"""

import os
import re
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

AUTHORITY = "/etc/ssl/lab/private-ca.pem"
SINK = Path("/root/sink.txt")


def read_message(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.read(1)
        if not byte:
            raise EOFError
        head += byte
    length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
    return head, stream.read(length)


def answer_all(context, plain):
    try:
        connection = context.wrap_socket(plain, server_side=True)
        with connection, connection.makefile("rb") as stream, SINK.open("ab", buffering=0) as taken:
            while True:
                head, body = read_message(stream)
                taken.write(body + b"\n")
                kept = re.findall(rb"(?im)^(?:via|from|to|call-id|cseq):[^\r]*\r\n", head)
                connection.sendall(b"SIP/2.0 202 Accepted\r\n" + b"".join(kept) + b"Content-Length: 0\r\n\r\n")
    except (EOFError, OSError):
        return


def sink(pause):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/root/gateway.crt", "/root/gateway.key")
    context.load_verify_locations(AUTHORITY)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("198.51.100.80", 5061))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    time.sleep(pause)
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=answer_all, args=(context, plain), daemon=True).start()


def ask(certificate, host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(AUTHORITY)
    if certificate != "none":
        context.load_cert_chain(f"/root/{certificate}.crt", f"/root/{certificate}.key")
    try:
        with context.wrap_socket(socket.create_connection((host, 5061), 5), server_hostname=host) as connection:
            connection.sendall(sys.stdin.buffer.read())
            with connection.makefile("rb") as stream:
                head, _ = read_message(stream)
                print(head.decode().split("\r\n")[0])
    except (EOFError, ssl.SSLError, ConnectionError) as problem:
        print(f"closed: {type(problem).__name__}")


if __name__ == "__main__":
    sink(float(sys.argv[2])) if sys.argv[1] == "sink" else ask(*sys.argv[2:4])
