"""Build, boot, change and stop lab hosts: an overlay on an image, systemd-nspawn in a network namespace of its own.

Who is running is read from the process table, never from a file: a host's nspawn names the host's directory in its
arguments. What a host mounts lives in a mount namespace that ends with it, and its processes in a process namespace
that ends with its nspawn: pulling the plug is one SIGKILL, and nothing stays mounted.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab_provider import image, namespace
from lab_provider.places import NETNS, Places, write_private

BOOT_SECONDS = 180.0  # multi-user.target takes under 1 s alone; 45 s were seen while forty others booted on two cores
STOP_SECONDS = 10.0  # what a host may take to power off before its plug is pulled
# Every booted host holds a dozen inotify instances of root's; the kernel's default of 128 is used up by the eleventh.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
_started: dict[str, subprocess.Popen[bytes]] = {}
_started_lock = threading.Lock()


class MachineError(Exception):
    """A host could not be built, booted or changed; the message holds the end of what it said."""


@dataclass(frozen=True)
class File:
    """A file to put on a host: bytes, mode, owner and group by name."""

    content: bytes
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class Interface:
    """An interface: the bridge it is plugged into (also its name inside) and its addresses with prefix lengths."""

    bridge: str
    addresses: tuple[str, ...]


@contextmanager
def exclusive(places: Places, name: str) -> Iterator[None]:
    """Hold a host for this process, so that an orphaned provider and its successor never build it side by side."""
    locks = places.lab / "locks"
    locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(locks / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def running(places: Places, name: str) -> int | None:
    """Process id of the host's nspawn, or None when the host is down or half dead."""
    wanted = f"--directory={places.host(name) / 'root'}".encode()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[0].endswith(b"systemd-nspawn") and wanted in arguments:
                return int(process.name)
        except (OSError, ValueError):
            continue
    return None


def first_process(places: Places, name: str) -> int | None:
    """Process id (on this machine) of the host's own systemd."""
    nspawn = running(places, name)
    if nspawn is None:
        return None
    try:
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    except OSError:
        return None
    for child in children:
        try:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        except OSError:
            continue
    return None


def wired(places: Places, name: str) -> bool:
    """Whether the running host sits in the namespace that is plugged into the lab's bridges."""
    process = first_process(places, name)
    outer = places.host_namespace(name)
    if process is None or not namespace.exists(outer) or not namespace.exists(places.namespace):
        return False
    try:
        if Path(f"/proc/{process}/ns/net").stat().st_ino != namespace.identity(outer):
            return False
    except OSError:
        return False
    ours = {link for link in namespace.links(places.namespace) if link.startswith(f"{name}.")}
    return len(ours) == len(namespace.links(outer) - {"lo"}) > 0


def wire(
    places: Places, name: str, interfaces: Sequence[Interface], gateways: Sequence[str], *, forwarding: bool
) -> None:
    """Make the host's network namespace anew: interfaces on the bridges, addresses, default routes, forwarding."""
    inner = places.host_namespace(name)
    if namespace.exists(inner):
        stale = [link for link in namespace.links(places.namespace) if link.startswith(f"{name}.")]
        namespace.ip(places.namespace, [f"link delete {link}" for link in stale])
        namespace.delete(inner)
    namespace.add(inner)
    outside: list[str] = []
    inside = ["link set lo up"]
    for number, interface in enumerate(interfaces):
        outer = f"{name}.{number}"
        outside += [
            f"link add {outer} type veth peer name {interface.bridge} "
            f"address {namespace.hardware_address(name, interface.bridge)} netns {inner}",
            f"link set {outer} master {interface.bridge} up",
        ]
        inside.append(f"link set {interface.bridge} up")
        first = {":" in address: address for address in reversed(interface.addresses)}
        for address in interface.addresses:
            six = ":" in address
            # As in IPv4, a host speaks from its first address unless told otherwise; the kernel would take the one that
            # came last. A deprecated one is not chosen while there is another (RFC 6724 section 5, rule 3).
            later = " preferred_lft 0" if six and address != first[six] else ""
            inside.append(f"address add {address} dev {interface.bridge}{' nodad' if six else ''}{later}")
    inside += [f"route add default via {gateway}" for gateway in gateways]
    namespace.ip(places.namespace, outside)
    namespace.set_kernel_parameters(
        inner,
        {
            "net.ipv4.ip_forward": "1" if forwarding else "0",
            "net.ipv6.conf.all.forwarding": "1" if forwarding else "0",
            "net.ipv4.ping_group_range": "0 2147483647",
        },
    )
    for command in inside:
        namespace.ip(inner, [command])


def build(
    places: Places,
    name: str,
    recipe: image.Recipe,
    *,
    files: Mapping[str, File],
    units: Sequence[str],
    first_boot: Sequence[str],
) -> str:
    """Make the host's disk from scratch; returns its public SSH key. A half-built disk is recognised and made anew."""
    home = places.host(name)
    _remove_tree(home)
    for part in ("upper", "work", "root"):
        (home / part).mkdir(parents=True, mode=0o755)
    script = [
        "ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key",
        "tar -xpf - -C / --warning=no-timestamp",
        *_trust_commands(),
        *first_boot,
        *([f"systemctl enable -q {' '.join(units)}"] if units else []),
    ]
    _in_disk(places, name, recipe, _check_owners(files.values()) + script, _archive(files))
    write_private(home / "made", recipe.digest.encode())
    return host_key(places, name)


def change(
    places: Places,
    name: str,
    recipe: image.Recipe,
    *,
    files: Mapping[str, File],
    removed: Iterable[str] = (),
    units: Sequence[str] = (),
    dropped_units: Sequence[str] = (),
) -> None:
    """Write and remove files, enable and disable units, on a running host or on the disk of a stopped one."""
    script = _check_owners(files.values())
    gone = [path for path in removed if path not in files]
    if gone:
        script.append("rm -f -- " + " ".join(_quoted(path) for path in sorted(gone)))
    script += ["tar -xpf - -C / --warning=no-timestamp", *_trust_commands()]
    if running(places, name) is None:
        if dropped_units:
            script.append(f"systemctl disable -q {' '.join(dropped_units)}")
        if units:
            script.append(f"systemctl enable -q {' '.join(units)}")
        _in_disk(places, name, recipe, script, _archive(files))
        return
    script.append("systemctl daemon-reload")
    if dropped_units:
        script.append(f"systemctl disable -q --now {' '.join(dropped_units)}")
    if units:
        script += [f"systemctl enable -q {' '.join(units)}", f"systemctl restart {' '.join(units)} || true"]
    run_on(places, name, ["/bin/sh", "-euc", "\n".join(script)], _archive(files))


def boot(places: Places, name: str, recipe: image.Recipe) -> None:
    """Start the host and wait until it says that it is up (systemd's READY of the host itself)."""
    if running(places, name) is not None:
        stop(places, name)
    home = places.host(name)
    if int(INOTIFY.read_text()) < INOTIFY_INSTANCES:
        INOTIFY.write_text(str(INOTIFY_INSTANCES))
    for group in places.control_groups(name):
        group.mkdir(parents=True, exist_ok=True)
    join = "\n".join(f"echo 0 > {group}/cgroup.procs" for group in places.control_groups(name))
    script = f'{join}\n{_mount_command(places, name, recipe)}\nexec "$@"\n'
    notify_name = f"xmppgw-{places.namespace}-{name}-{os.getpid()}-{time.monotonic_ns()}"
    command = [
        "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
        "/bin/sh", "-euc", script, "boot",
        "systemd-nspawn", "--quiet", "--boot", f"--directory={home / 'root'}",
        f"--machine={places.namespace}-{name}", f"--hostname={name}",
        "--register=no", "--keep-unit", f"--network-namespace-path={NETNS / places.host_namespace(name)}",
        "--capability=CAP_NET_ADMIN", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--settings=no",
        "--console=pipe", "--notify-ready=yes",
    ]  # fmt: skip
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, (home / "console.log").open("ab") as console:
        ready.bind("\0" + notify_name)
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "NOTIFY_SOCKET": "@" + notify_name,
        }
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment, start_new_session=True
        )
        with _started_lock:
            _started[str(home)] = process
        _wait_ready(ready, process, places, name)


def _wait_ready(ready: socket.socket, process: subprocess.Popen[bytes], places: Places, name: str) -> None:
    limit = time.monotonic() + BOOT_SECONDS
    while True:
        ready.settimeout(0.5)
        try:
            if b"READY=1" in ready.recv(4096).split(b"\n"):
                return
        except TimeoutError:
            pass
        if process.poll() is not None or time.monotonic() > limit:
            state = "ended" if process.poll() is not None else f"was not up after {BOOT_SECONDS:.0f} s"
            log = places.host(name) / "console.log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            stop(places, name)
            raise MachineError(f"host {name} {state}; the end of {log} says:\n{tail}")


def failed_units(places: Places, name: str, units: Sequence[str]) -> dict[str, str]:
    """Those of the units that are not active, each with the end of its journal."""
    if not units:
        return {}
    answer = run_on(places, name, ["systemctl", "is-active", *units], check=False).split()
    problems = {}
    for unit, state in zip(units, answer, strict=False):
        if state not in ("active", "reloading", "activating"):
            command = ["journalctl", "--no-pager", "-o", "cat", "-n", "12", "-u", unit]
            problems[unit] = f"{state}\n{run_on(places, name, command, check=False)}"
    return problems


def run_on(places: Places, name: str, command: Sequence[str], stdin: bytes = b"", *, check: bool = True) -> str:
    """Run a command as root in the running host's namespaces; returns its output, raises MachineError if it fails."""
    process = first_process(places, name)
    if process is None:
        raise MachineError(f"host {name} is not running")
    whole = ["nsenter", "--target", str(process), "--all", "--", *command]
    environment = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    result = subprocess.run(whole, input=stdin, capture_output=True, env=environment, check=False)
    if check and result.returncode != 0:
        said = (result.stderr + result.stdout).decode(errors="replace").strip()
        raise MachineError(f"on {name}, `{' '.join(command)[:120]}` ended with {result.returncode}: {said[-2000:]}")
    return result.stdout.decode(errors="replace")


def stop(places: Places, name: str) -> None:
    """Power the host off (SIGTERM to nspawn), pull the plug after STOP_SECONDS; returns when no process is left."""
    nspawn = running(places, name)
    if nspawn is not None and not _end(nspawn, signal.SIGTERM, STOP_SECONDS):
        _end(nspawn, signal.SIGKILL, STOP_SECONDS)
    with _started_lock:
        process = _started.pop(str(places.host(name)), None)
    if process is not None:
        process.wait(STOP_SECONDS)
    if running(places, name) is not None:
        raise MachineError(f"host {name} does not stop (process {running(places, name)})")
    for group in places.control_groups(name):
        remove_control_group(group)


def pull_the_plug(places: Places, name: str) -> None:
    """End the host at once, as a power cut would; its disk stays."""
    nspawn = running(places, name)
    if nspawn is not None:
        _end(nspawn, signal.SIGKILL, STOP_SECONDS)
    stop(places, name)


def _end(process: int, sign: signal.Signals, seconds: float) -> bool:
    """Signal a process and wait for its end without racing against the reuse of its number."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(handle, sign)
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def delete(places: Places, name: str) -> None:
    """Stop the host and remove its disk, its namespace and its control groups."""
    stop(places, name)
    if namespace.exists(places.namespace):
        stale = [link for link in namespace.links(places.namespace) if link.startswith(f"{name}.")]
        namespace.ip(places.namespace, [f"link delete {link}" for link in stale])
    namespace.delete(places.host_namespace(name))
    _remove_tree(places.host(name))


def host_key(places: Places, name: str) -> str:
    """The host's public SSH key, type and base64 part."""
    text = (places.host(name) / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return " ".join(text.split()[:2])


def built(places: Places, name: str) -> bool:
    """Whether the host's disk was finished (a crash in the middle leaves no mark)."""
    return (places.host(name) / "made").exists()


def remove_control_group(group: Path) -> None:
    """Remove a control group with everything below it, once its processes are gone."""
    if not group.is_dir():
        return
    for directory, _, _ in os.walk(group, topdown=False):
        for _attempt in range(50):
            try:
                Path(directory).rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)  # the kernel frees a group a moment after its last process
    try:
        group.parent.rmdir()
    except OSError:
        return


def _mount_command(places: Places, name: str, recipe: image.Recipe) -> str:
    home = places.host(name)
    odd = sorted(set(":,'\\\n") & set(f"{home}{places.cache}"))
    if odd:
        raise MachineError(f"overlayfs cannot use {home} and {places.cache}: move the project to a path without {odd}")
    lower = ":".join(str(path) for path in image.layers(recipe, places.cache))
    return f"mount -t overlay overlay -o 'lowerdir={lower},upperdir={home}/upper,workdir={home}/work' '{home}/root'"


def _in_disk(places: Places, name: str, recipe: image.Recipe, commands: Sequence[str], stdin: bytes) -> None:
    """Run shell commands with the stopped host's disk as root directory."""
    outer = f"""
{_mount_command(places, name, recipe)}
cd '{places.host(name)}/root'
mount -t proc proc proc
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mount --rbind /dev dev
exec chroot . /bin/sh -euc "$1"
"""
    whole = [
        "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
        "--kill-child", "--mount-proc", "/bin/sh", "-euc", outer, "disk", "\n".join(commands),
    ]  # fmt: skip
    environment = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    result = subprocess.run(whole, input=stdin, capture_output=True, env=environment, check=False)
    if result.returncode != 0:
        said = (result.stderr + result.stdout).decode(errors="replace").strip()
        raise MachineError(f"preparing the disk of {name} ended with {result.returncode}: {said[-2000:]}")


def _archive(files: Mapping[str, File]) -> bytes:
    """The files as one tar stream; `tar` on the host turns owner and group names into numbers."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.uname, entry.gname = len(file.content), file.mode, file.owner, file.group
            entry.mtime = int(time.time())
            archive.addfile(entry, io.BytesIO(file.content))
    return stream.getvalue()


def _check_owners(files: Iterable[File]) -> list[str]:
    owners = sorted({file.owner for file in files} - {"root"})
    groups = sorted({file.group for file in files} - {"root"})
    return [
        f"getent passwd {owner} >/dev/null || {{ echo 'no user {owner} here' >&2; exit 9; }}" for owner in owners
    ] + [f"getent group {group} >/dev/null || {{ echo 'no group {group} here' >&2; exit 9; }}" for group in groups]


def _trust_commands() -> list[str]:
    """Put the lab's public CA into the trust store, as update-ca-certificates would in a hundred times the time."""
    return [
        "authority=/usr/local/share/ca-certificates/lab-public-ca.crt",
        "bundle=/etc/ssl/certs/ca-certificates.crt",
        'if [ -e "$authority" ] && ! grep -qF "$(sed -n 2p "$authority")" "$bundle"; then',
        '    cat "$authority" >> "$bundle"',
        '    ln -sf "$authority" /etc/ssl/certs/lab-public-ca.pem',
        '    ln -sf lab-public-ca.pem "/etc/ssl/certs/$(openssl x509 -noout -hash -in "$authority").0"',
        "fi",
    ]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _remove_tree(path: Path) -> None:
    """Remove a directory; a mount below it would be someone's mistake, so nothing is ever unmounted here."""
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], check=True)
