"""A host's own rules in the kernel: two network namespaces, real connections, no lab."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from xmppgw.federation import load_document
from xmppgw.federation.host_firewall import Surroundings, host_rules

pytestmark = pytest.mark.infra

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "inventories/lab/group_vars/all/federation.yml"
EDGE, INSIDE, FRONT_END, ADMINISTRATOR, STRANGER = (
    "198.51.100.10", "198.51.100.11", "198.51.100.80", "203.0.113.99", "203.0.113.77",
)  # fmt: skip
# Ends with 0 if the connection is accepted or refused by the host itself, else 1: what is filtered gets no answer.
TRY = (
    "import socket, sys\n"
    "try: socket.create_connection((sys.argv[2], int(sys.argv[3])), 1, (sys.argv[1], 0))\n"
    "except ConnectionRefusedError: pass\n"
    "except OSError: sys.exit(1)\n"
)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[str, str]]:
    """A namespace with the edge's addresses and one with everybody else's, joined by a wire; the edge is closed."""
    if os.geteuid() != 0 or shutil.which("nft") is None:
        pytest.skip("network namespaces need root and nftables")
    host, others = f"xw-h{os.getpid()}", f"xw-o{os.getpid()}"
    try:
        for name in (host, others):
            ip("netns", "add", name)
        ip("-n", host, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", others)
        for name, addresses in ((host, (EDGE, INSIDE)), (others, (FRONT_END, ADMINISTRATOR, STRANGER))):
            for address in addresses:
                ip("-n", name, "address", "add", f"{address}/32", "dev", "wire")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "wire", "up")
        ip("-n", host, "route", "add", "default", "dev", "wire")
        ip("-n", others, "route", "add", "default", "dev", "wire")
        rules = host_rules(load_document(DOCUMENT), "edge1", Surroundings((f"{ADMINISTRATOR}/32",)))
        for _ in range(2):  # it replaces itself
            subprocess.run(["ip", "netns", "exec", host, "nft", "-f", "-"], input=rules, text=True, check=True)
        yield host, others
    finally:
        for name in (host, others):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.mark.parametrize(
    ("side", "source", "destination", "port", "passes"),
    [
        ("in", ADMINISTRATOR, EDGE, 22, True),
        ("in", ADMINISTRATOR, INSIDE, 22, True),
        ("in", STRANGER, EDGE, 22, False),
        ("in", STRANGER, EDGE, 5269, True),
        ("in", STRANGER, INSIDE, 5269, False),
        ("in", FRONT_END, INSIDE, 23456, True),
        ("in", STRANGER, INSIDE, 23456, False),
        ("in", FRONT_END, EDGE, 23456, False),
        ("in", STRANGER, EDGE, 80, False),
        ("out", EDGE, STRANGER, 5269, True),
        ("out", INSIDE, STRANGER, 5269, False),
        ("out", EDGE, STRANGER, 22, False),
        ("out", EDGE, STRANGER, 443, False),
        ("out", EDGE, STRANGER, 80, True),
    ],
)
def test_rows_of_the_table_pass_and_nothing_else(
    wire: tuple[str, str], side: str, source: str, destination: str, port: int, *, passes: bool
) -> None:
    namespace = wire[1] if side == "in" else wire[0]
    tried = subprocess.run(
        ["ip", "netns", "exec", namespace, "/usr/bin/python3", "-c", TRY, source, destination, str(port)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (tried.returncode == 0) is passes, tried.stderr
