"""Bake the lab's images: `plain` (Debian by debootstrap) and `servers` (what stands in for other people's servers).

Set-up runs it as a command (`python -m lab_provider.image bake`), the lab provider asks it for the layers of a host.
An image is a directory named by the hash of what went into it; it appears by one rename, so half an image is never
used. It never mounts anything where the rest of the machine could see it: mounts live and die with the child process.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FALLBACK_MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"

PLAIN_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "nftables", "python3", "iproute2",
    "ca-certificates", "iputils-ping", "procps", "netcat-openbsd", "openssl", "libpam-systemd",
)  # fmt: skip
SERVER_PACKAGES = (
    "prosody", "lua-unbound", "lua-dbi-sqlite3", "ejabberd", "kamailio", "kamailio-tls-modules",
    "kamailio-utils-modules", "kamailio-extra-modules", "kamailio-json-modules", "kamailio-sqlite-modules",
    "knot", "knot-dnsutils", "unbound", "python3-slixmpp", "python3-aiohttp", "sip-tester", "curl", "tcpdump",
    "sqlite3",
)  # fmt: skip

ACME_PACKAGES = ("pebble",)

PLAIN_FINISH = """
set -eu
export DEBIAN_FRONTEND=noninteractive
groupadd --force --system ssl-cert
# As strict as a hardened host: what is made without a mode of its own can be read by nobody else.
echo 'session optional pam_umask.so umask=077' >> /etc/pam.d/common-session
# A lab host has no way out, and nothing in it should wake up on its own.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
            systemd-timesyncd.service systemd-pstore.service getty@tty1.service; do
    systemctl disable "$unit" 2>/dev/null || true
done
systemctl enable ssh.service
# The lab's network is there before a host's first process: nothing inside has to configure it.
systemctl disable systemd-networkd.service systemd-networkd-wait-online.service systemd-networkd.socket \
    systemd-network-generator.service e2scrub_reap.service ssh.socket 2>/dev/null || true
systemctl mask console-getty.service systemd-logind.service systemd-firstboot.service systemd-update-utmp.service
systemctl set-default multi-user.target
# Identities are made per host, never baked.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
rm -f /etc/hostname /etc/resolv.conf
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt
"""

SERVERS_FINISH = """
set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
enabled() { systemctl list-unit-files --no-legend --state=enabled | awk '{print $1}' | sort; }
enabled > /tmp/enabled.before
apt-get -q update
apt-get -q -y -o Dpkg::Options::=--force-unsafe-io -o APT::Sandbox::User=root install --no-install-recommends $PACKAGES
# A host enables what it runs; nothing is masked.
enabled > /tmp/enabled.after
comm -13 /tmp/enabled.before /tmp/enabled.after | xargs -r systemctl disable
for name in kamailio sipp epmd; do
    [ ! -e /etc/init.d/$name ] || update-rc.d -f $name remove
done
rm -f /usr/sbin/policy-rc.d /etc/ssl/private/ssl-cert-snakeoil.key /etc/prosody/certs/*.key
rm -rf /var/lib/apt/lists/* /var/log/*.log /var/log/apt /var/cache/debconf/*-old
"""


class BakeError(Exception):
    """An image could not be made; the message says which command failed and where its log is."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what an image contains."""

    name: str
    packages: tuple[str, ...]
    finish: str
    below: Recipe | None = None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits over the recipe and the recipes below it; names the image's directory."""
        content = {
            "suite": SUITE,
            "architecture": platform.machine(),
            "packages": sorted(self.packages),
            "finish": self.finish,
            "below": self.below.digest if self.below else None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def directory_name(self) -> str:
        """Name of the image's directory under `.cache/images`."""
        return f"{self.name}-{self.digest}"


PLAIN = Recipe("plain", PLAIN_PACKAGES, PLAIN_FINISH)
SERVERS = Recipe("servers", SERVER_PACKAGES, SERVERS_FINISH, below=PLAIN)
ACME = Recipe("acme", ACME_PACKAGES, SERVERS_FINISH, below=PLAIN)
RECIPES = {recipe.name: recipe for recipe in (PLAIN, SERVERS, ACME)}
ALWAYS = ("plain", "servers")
"""What every lab boots; `acme` is for the optional host of that name."""
KEPT = 2
"""Images of one recipe that stay in the cache: the present one, and the one before it."""


def layers(recipe: Recipe, cache: Path) -> list[Path]:
    """Directories of an image, topmost first, as `lowerdir` of overlayfs wants them; BakeError if one is missing."""
    found = []
    step: Recipe | None = recipe
    while step is not None:
        directory = cache / "images" / step.directory_name
        if not directory.is_dir():
            raise BakeError(
                f"image {step.directory_name} is not in {cache / 'images'}: run `make lab-up` or the set-up, "
                f"or in pulumi/ `python -m lab_provider.image bake {recipe.name}`"
            )
        found.append(directory)
        step = step.below
    return found


def mirror_of_this_machine(apt: Path = Path("/etc/apt")) -> str:
    """The Debian mirror that this machine's apt uses, else deb.debian.org; security archives are not mirrors."""
    candidates: list[str] = []
    for source in sorted([apt / "sources.list", *(apt / "sources.list.d").glob("*.list")]):
        if source.is_file():
            for line in source.read_text(errors="replace").splitlines():
                words = [word for word in line.split() if not word.startswith("[") and not word.endswith("]")]
                if len(words) >= 4 and words[0] == "deb" and "main" in words[3:]:
                    candidates.append(words[1])
    for source in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in source.read_text(errors="replace").split("\n\n"):
            lines = [line.partition(":") for line in stanza.splitlines() if not line.startswith("#")]
            fields = {key.strip().lower(): value.strip() for key, _, value in lines}
            if "deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split():
                candidates += fields.get("uris", "").split()
    mirrors = [uri.rstrip("/") for uri in candidates if uri.rstrip("/").endswith("/debian")]
    plain_mirrors = [uri for uri in mirrors if uri.startswith(("http://", "https://"))]
    return plain_mirrors[0] if plain_mirrors else FALLBACK_MIRROR


def bake(cache: Path, names: Sequence[str] = ALWAYS) -> list[Path]:
    """Make the named images if they are missing; returns their directories. Safe to kill and to run twice at once."""
    images = cache / "images"
    images.mkdir(parents=True, exist_ok=True)
    (cache / "debs").mkdir(exist_ok=True)
    with _locked(images / ".lock"):
        for leftover in images.glob(".half-*"):
            shutil.rmtree(leftover)
        for name in names:
            _bake_one(RECIPES[name], cache)
        prune(images)
    return [images / RECIPES[name].directory_name for name in names]


def _bake_one(recipe: Recipe, cache: Path) -> None:
    images = cache / "images"
    final = images / recipe.directory_name
    if recipe.below is not None:
        _bake_one(recipe.below, cache)
    if not final.is_dir():
        half = images / f".half-{recipe.name}"
        half.mkdir(mode=0o755)
        log = images / f"{recipe.name}.log"
        print(f"baking image {recipe.name} (log: {log})", flush=True)
        if recipe.below is None:
            _debootstrap(recipe, half / "root", cache, log)
        else:
            _layer(recipe, half, layers(recipe.below, cache), cache, log)
        os.sync()
        (half / "root").rename(final)
        shutil.rmtree(half)
    current = images / f"current-{recipe.name}"
    temporary = images / f".half-link-{recipe.name}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(final.name)
    temporary.replace(current)


def prune(images: Path) -> list[str]:
    """Remove all but the newest images of each recipe; what a running host is made of stays. Returns what went."""
    gone = []
    for name in RECIPES:
        current = images / f"current-{name}"
        kept = current.resolve().name if current.exists() else ""
        found = [path for path in images.glob(f"{name}-*") if re.fullmatch(rf"{name}-[0-9a-f]{{12}}", path.name)]
        found.sort(key=lambda path: (path.name == kept, path.lstat().st_mtime), reverse=True)
        old = [path for path in found[KEPT:] if not path.is_symlink()]
        used = _mounted(old)
        for path in old:
            if path not in used:
                # Out of sight first: half an image must not have the name of a whole one.
                half = images / f".half-gone-{path.name}"
                path.rename(half)
                shutil.rmtree(half)
                gone.append(path.name)
    return sorted(gone)


def _mounted(candidates: Sequence[Path]) -> set[Path]:
    """Those that some process has below a mount, in whatever mount namespace."""
    found: set[Path] = set()
    if not candidates:
        return found
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            text = mounts.read_text(errors="replace")
        except OSError:
            continue
        found |= {path for path in candidates if str(path) in text}
    return found


def _debootstrap(recipe: Recipe, root: Path, cache: Path, log: Path) -> None:
    packages = ",".join(recipe.packages)
    script = (
        f'debootstrap --variant=minbase --include="$PACKAGES" --cache-dir="$DEBS" {SUITE} "$ROOT" "$MIRROR"\n'
        'chroot "$ROOT" /bin/sh -c "$FINISH"\n'
    )
    environment = {
        "PACKAGES": packages,
        "DEBS": str((cache / "debs").resolve()),
        "ROOT": str(root),
        "MIRROR": mirror_of_this_machine(),
        "FINISH": recipe.finish,
        **_proxy_environment(),
    }
    _run_alone(script, environment, log)


def _layer(recipe: Recipe, half: Path, below: list[Path], cache: Path, log: Path) -> None:
    for name in ("root", "work", "merged"):
        (half / name).mkdir(mode=0o755)
    # The chroot sees the machine's resolver and its CA bundle only while it bakes; both are bind mounts on tmpfs files.
    script = """
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$HALF/root,workdir=$HALF/work" "$HALF/merged"
cd "$HALF/merged"
mount -t proc proc proc
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mount --bind "$DEBS" var/cache/apt/archives
mount --rbind /dev dev
mkdir -p run/machine
cp -L /etc/resolv.conf run/machine/resolv.conf
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt run/machine/ca.crt
ln -s /run/machine/resolv.conf etc/resolv.conf
printf 'deb %s %s main\\n' "$MIRROR" "$SUITE" > etc/apt/sources.list
printf 'Acquire::https::CAInfo "/run/machine/ca.crt";\\n' > etc/apt/apt.conf.d/99bake
[ -z "${http_proxy:-}" ] || printf 'Acquire::http::Proxy "%s";\\n' "$http_proxy" >> etc/apt/apt.conf.d/99bake
[ -z "${https_proxy:-}" ] || printf 'Acquire::https::Proxy "%s";\\n' "$https_proxy" >> etc/apt/apt.conf.d/99bake
chroot . /bin/sh -c "$FINISH"
rm -f etc/resolv.conf etc/apt/apt.conf.d/99bake
"""
    environment = {
        "LOWER": ":".join(str(path) for path in below),
        "HALF": str(half),
        "DEBS": str((cache / "debs").resolve()),
        "PACKAGES": " ".join(recipe.packages),
        "MIRROR": mirror_of_this_machine(),
        "SUITE": SUITE,
        "FINISH": recipe.finish,
        **_proxy_environment(),
    }
    _run_alone(script, environment, log)


def _run_alone(script: str, environment: dict[str, str], log: Path) -> None:
    """Run a shell script in mount and process namespaces of its own that end with this process, however it ends."""
    base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    command = [
        "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
        "--kill-child", "--mount-proc", "/bin/sh", "-euc", script,
    ]  # fmt: skip
    with log.open("wb") as output:
        result = subprocess.run(
            command,
            env=base | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BakeError(f"the bake stopped with status {result.returncode}; the end of {log} says:\n{tail}")


def _proxy_environment() -> dict[str, str]:
    """What apt was told about proxies on this machine, in the form that debootstrap's downloader understands."""
    found = {key: os.environ[key] for key in ("http_proxy", "https_proxy", "no_proxy") if os.environ.get(key)}
    for scheme in ("http", "https"):
        command = ["apt-config", "shell", "P", f"Acquire::{scheme}::Proxy"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        value = answer.partition("=")[2].strip("'\"")
        if value and value.upper() != "DIRECT":
            found.setdefault(f"{scheme}_proxy", value)
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def enter(cache: Path, name: str, command: Sequence[str], *, with_network: bool) -> int:
    """Run a command as root in a throw-away copy of an image (changes vanish); returns its exit status."""
    lower = ":".join(str(path) for path in layers(RECIPES[name], cache))
    script = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
cd /mnt/root
mount -t proc proc proc; mount -t tmpfs tmpfs tmp; mount -t tmpfs tmpfs run; mount --rbind /dev dev
[ ! -d /sys ] || mount --rbind /sys sys
exec chroot . "$@"
"""
    isolation = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if not with_network:
        isolation.append("--net")
        script = "ip link set lo up\n" + script
    whole = ["unshare", *isolation, "/bin/sh", "-euc", script, "enter", *(command or ["/bin/bash"])]
    return subprocess.run(whole, env={**os.environ, "LOWER": lower}, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: `bake [NAME...]`, `path NAME`, `enter NAME [--network] [-- COMMAND...]`."""
    parser = argparse.ArgumentParser(prog="python -m lab_provider.image", description=main.__doc__)
    default_cache = Path(__file__).resolve().parents[2] / ".cache"
    parser.add_argument(
        "--cache", type=Path, default=default_cache, help="directory of the images (default: %(default)s)"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    bake_verb = verbs.add_parser("bake", help="make the images that are missing")
    offered = f"of {sorted(RECIPES)}; default: {' '.join(ALWAYS)}"
    bake_verb.add_argument("names", nargs="*", metavar="NAME", help=offered)
    path_verb = verbs.add_parser("path", help="print the directories of an image, topmost first")
    path_verb.add_argument("name", choices=RECIPES)
    enter_verb = verbs.add_parser("enter", help="run a command in a throw-away copy of an image")
    enter_verb.add_argument(
        "--network", action="store_true", help="share the caller's network (default: loopback only)"
    )
    enter_verb.add_argument("name", choices=RECIPES)
    enter_verb.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "bake":
            for directory in bake(chosen.cache, chosen.names or ALWAYS):
                print(directory)
            return 0
        if chosen.verb == "path":
            print("\n".join(str(path) for path in layers(RECIPES[chosen.name], chosen.cache)))
            return 0
        command = [word for word in chosen.command if word != "--"]
        return enter(chosen.cache, chosen.name, command, with_network=chosen.network)
    except BakeError as problem:
        print(f"image: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
