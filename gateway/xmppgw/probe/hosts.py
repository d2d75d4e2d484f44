"""The way to the lab's hosts: SSH with the settings of the stack's outputs, one kept connection per host.

Called by the runner and by `looking`. It runs commands and brings back bytes; it decides nothing and writes nothing on
this machine but its control sockets, which `close` removes.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

CONNECT_WAIT_S = 10


class LabError(Exception):
    """The lab, or a host of it, cannot be used; the text says what to do about it."""


class _HostOutput(msgspec.Struct, frozen=True):
    address: str
    addresses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class _SshOutput(msgspec.Struct, frozen=True):
    private_key: str
    known_hosts: str
    user: str = "root"
    proxy_command: str = ""


class Outputs(msgspec.Struct, frozen=True):
    """What the probe needs of the stack's outputs; the rest belongs to others."""

    hosts: Mapping[str, _HostOutput]
    ssh: _SshOutput
    partners: Mapping[str, str] = {}
    """XMPP domain to the host of its server, where that is one of ours to look at"""


def read_outputs(path: Path) -> Outputs:
    """Read `.lab/outputs.json`; raises LabError if there is no lab or the file is not what it should be."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Outputs)
    except FileNotFoundError:
        raise LabError(f"{path} does not exist: no lab is up. Type `make lab-up`.") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise LabError(f"{path}: {error}. Type `make lab-down`, then `make lab-up`.") from error


def read_engine(lab: Path) -> str:
    """Name the engine that made the lab, as `.ci/stack` noted it; empty if the lab was made without it."""
    try:
        return (lab / "engine").read_text(encoding="ascii").strip()[:32]
    except (OSError, UnicodeDecodeError):
        return ""


class Hosts:
    """Open ways to the hosts of one environment; use as a context manager."""

    def __init__(self, outputs: Outputs, root: Path) -> None:
        self.outputs = outputs
        self._root = root
        self._sockets = Path(tempfile.mkdtemp(prefix="xmppgw-probe-"))
        self._used: set[str] = set()

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def in_group(self, group: str) -> list[str]:
        """Names of the hosts in an inventory group, sorted."""
        return sorted(name for name, host in self.outputs.hosts.items() if group in host.groups)

    def command(self, host: str, remote: Sequence[str]) -> list[str]:
        """The local command line that runs a remote one."""
        ssh = self.outputs.ssh
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self._root / ssh.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "ConnectTimeout": str(CONNECT_WAIT_S),
            "ServerAliveInterval": "5",
            "LogLevel": "ERROR",
            "ControlMaster": "auto",
            "ControlPersist": "60",
            "ControlPath": str(self._sockets / "%C"),
        }
        if ssh.proxy_command:
            options["ProxyCommand"] = ssh.proxy_command
        line = ["ssh", "-F", "/dev/null", "-i", str(self._root / ssh.private_key)]
        for name, value in options.items():
            line += ["-o", f"{name}={value}"]
        return [*line, f"{ssh.user}@{self.outputs.hosts[host].address}", shlex.join(remote)]

    def run(self, host: str, remote: Sequence[str], *, wait_s: float = 20.0, stdin: bytes = b"") -> bytes:
        """Run a command on a host and return its standard output; raises LabError if it fails or takes too long."""
        if host not in self.outputs.hosts:
            raise LabError(f"the lab has no host {host}")
        self._used.add(host)
        try:
            done = subprocess.run(
                self.command(host, remote), input=stdin, capture_output=True, timeout=wait_s, check=False,
                start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LabError(f"{host}: no answer within {wait_s:.0f} s to: {shlex.join(remote)[:120]}") from None
        except OSError as error:
            self._used.discard(host)
            raise LabError(f"ssh cannot be started: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
            raise LabError(f"{host}: {said[-1] if said else f'exit status {done.returncode}'}")
        return done.stdout

    def close(self) -> None:
        """End the kept connections and remove their sockets."""
        for host in sorted(self._used):
            line = self.command(host, ())
            subprocess.run([*line[:-2], "-O", "exit", line[-2]], capture_output=True, timeout=10, check=False)
        self._used.clear()
        shutil.rmtree(self._sockets, ignore_errors=True)
