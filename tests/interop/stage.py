"""A small internet of its own for one test module: a network namespace, a DNS server, a Prosody, an ejabberd.

The servers come out of the lab's baked `servers` image, each in a throw-away overlay; nothing is written outside the
test's own directory and nothing leaves the namespace. Needs root. All processes die with the stage.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache"
IMAGE = CACHE / "images" / "current-servers"
ACME_IMAGE = CACHE / "images" / "current-acme"
CLONE_NEWNET = 0x40000000

EDGE, SECOND_EDGE = "198.51.100.10", "198.51.100.12"
#: The gateway that is being replaced, as one server or the other.
LEGACY_PROSODY, LEGACY_EJABBERD = "198.51.100.21", "198.51.100.22"
PROSODY, EJABBERD, RESOLVER = "203.0.113.11", "203.0.113.12", "203.0.113.55"
OURS, PROSODY_DOMAIN, EJABBERD_DOMAIN = "corp.example", "partner1.example", "partner2.example"
PASSWORD = "wherefore"
START_SECONDS = 120.0


def reason_to_skip() -> str | None:
    """Why the stage cannot be set here, or None."""
    if os.geteuid() != 0:
        return "needs root (network and mount namespaces)"
    for tool in ("unshare", "nsenter", "setpriv", "ip"):
        if shutil.which(tool) is None:
            return f"needs the program {tool}"
    if not IMAGE.is_dir():
        return f"needs the lab's server image at {IMAGE}: make lab-up bakes it"
    return None


def lower_directories(image: Path = IMAGE) -> str:
    """What overlayfs is to stack, topmost first: an image's layer on the plain system."""
    plain = IMAGE.parent / "current-plain"
    return f"{image.resolve()}:{plain.resolve()}"


class NameServer(threading.Thread):
    """Answers A and SRV from a table, everything else with NXDOMAIN. UDP; small answers only.

    Attributes:
        records: by (name with final dot, type): list of RDATA texts. Change it while it runs.
    """

    def __init__(self, address: str) -> None:
        super().__init__(name="interop-dns", daemon=True)
        self.records: dict[tuple[str, str], list[str]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._stop_read, self._stop_write = os.pipe()

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket, self._stop_read], [], [])
            if self._stop_read in ready:
                self._socket.close()
                os.close(self._stop_read)
                return
            data, peer = self._socket.recvfrom(4096)
            with suppress(Exception):
                self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), peer)

    def stop(self) -> None:
        os.close(self._stop_write)
        self.join()

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        values = self.records.get((name, kind))
        if values:
            response.answer.append(dns.rrset.from_text(name, 1, "IN", kind, *values))
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


class Stage:
    """The namespace, its name server and the servers that were started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._holder = subprocess.Popen(
            [
                "setpriv", "--pdeathsig", "KILL",
                "unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
                "--mount-proc", "sh", "-euc", _HOLD, "hold",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n", "the namespaces could not be made"
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self.pid = int(children[0])
        with self.inside():
            self.names = NameServer(RESOLVER)
        self.names.start()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread's sockets belong to the stage's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        here, other = Path("/proc/thread-self/ns/net"), Path(f"/proc/{self.pid}/ns/net")
        with here.open("rb") as before, other.open("rb") as there:
            _setns(libc, there.fileno())
            try:
                yield
            finally:
                _setns(libc, before.fileno())

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the stage's namespaces to its end."""
        return subprocess.run(self._enter(*command), check=True, capture_output=True, timeout=60)

    def root(self, name: str, image: Path = IMAGE) -> Path:
        """A throw-away copy of an image, as seen from outside the stage."""
        lower = lower_directories(image)
        self.run("sh", "-euc", _OVERLAY, "overlay", name, lower)
        root = Path(f"/proc/{self.pid}/root/mnt/{name}/root")
        (root / "etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        return root

    def start(self, name: str, *command: str, user: str = "root") -> None:
        """Start a server in the copy made by `root(name)`; its output goes to `<name>.log`."""
        with (self.directory / f"{name}.log").open("wb") as log:
            inside = ["chroot", f"--userspec={user}:{user}", f"/mnt/{name}/root", *command]
            self._processes[name] = subprocess.Popen(
                self._enter(*inside), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, name: str) -> None:
        """End a server that was started, and wait until it is gone."""
        process = self._processes.pop(name)
        self.run("sh", "-euc", _END, "end", f"/mnt/{name}/root")
        process.wait()

    def wait_for_port(self, name: str, address: str, port: int) -> None:
        """Until the server takes connections."""
        give_up = time.monotonic() + START_SECONDS
        with self.inside():
            while True:
                try:
                    socket.create_connection((address, port), timeout=1).close()
                    return
                except OSError:
                    if time.monotonic() > give_up or self._processes[name].poll() is not None:
                        raise AssertionError(f"{name} did not open {address}:{port}; see {self.log(name)}") from None
                    time.sleep(0.1)

    def log(self, name: str) -> str:
        """The last lines a server wrote."""
        return "\n".join((self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-60:])

    def stop(self) -> None:
        """End everything."""
        self.names.stop()
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait()
        for process in self._processes.values():
            process.wait()

    def _enter(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", *command]


def _setns(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


_HOLD = f"""
ip link set lo up
for address in {EDGE} {SECOND_EDGE} {LEGACY_PROSODY} {LEGACY_EJABBERD} {PROSODY} {EJABBERD} {RESOLVER}; do
  ip address add $address/32 dev lo
done
mount -t tmpfs tmpfs /mnt
echo ready
exec cat
"""
_END = """
for process in /proc/[0-9]*; do
  if [ "$(readlink $process/root)" = "$1" ]; then kill -KILL ${process#/proc/} 2>/dev/null || true; fi
done
"""
_OVERLAY = """
mkdir /mnt/$1 /mnt/$1/upper /mnt/$1/work /mnt/$1/root
mount -t overlay overlay -o lowerdir=$2,upperdir=/mnt/$1/upper,workdir=/mnt/$1/work /mnt/$1/root
cd /mnt/$1/root
mount -t proc proc proc
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
chmod 1777 tmp
mount --bind /dev dev
"""
