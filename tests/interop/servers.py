"""Prosody and ejabberd as a partner's administrator would configure them, on a stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.interop.authorities import Authorities
from tests.interop.stage import (
    EJABBERD,
    EJABBERD_DOMAIN,
    LEGACY_EJABBERD,
    LEGACY_PROSODY,
    OURS,
    PASSWORD,
    PROSODY,
    PROSODY_DOMAIN,
    Stage,
)

_PROSODY = """
interfaces = {{ "{address}" }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "dialback"; "disco"; "ping"; "smacks"; "posix"; "admin_shell" }}
pidfile = "/run/prosody.pid"
s2s_secure_auth = {secure}
s2s_require_encryption = true
smacks_enabled_s2s = {acknowledges}
c2s_require_encryption = false
authentication = "internal_plain"
log = {{ {{ levels = {{ min = "debug" }}; to = "console" }} }}
ssl = {{ cafile = "/etc/interop/ca.pem" }}
VirtualHost "{domain}"
    ssl = {{
        certificate = "/etc/interop/server.crt"; key = "/etc/interop/server.key"; cafile = "/etc/interop/ca.pem";
    }}
"""

_EJABBERD = """
loglevel: debug
hosts: [{domain}]
certfiles: [/etc/interop/server.crt, /etc/interop/server.key]
ca_file: /etc/interop/ca.pem
s2s_use_starttls: required
auth_password_format: plain
listen:
  - {{port: 5222, ip: "{address}", module: ejabberd_c2s}}
  - {{port: 5269, ip: "{address}", module: ejabberd_s2s_in, max_stanza_size: 524288}}
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
"""


@dataclass(frozen=True)
class Server:
    """One server of one domain with one user, in a root of its own."""

    name: str
    software: Literal["prosody", "ejabberd"]
    domain: str
    address: str
    user: str
    #: Whether its certificate carries clientAuth too, as public ones no longer do.
    client: bool = True
    #: Whether it offers stream management between servers. Microsoft's gateways never did; where both ends do, Prosody
    #: returns what was under way when a stream is closed gracefully, although it was delivered (seen with 0.12).
    acknowledges: bool = True


PROSODY_PARTNER = Server("prosody", "prosody", PROSODY_DOMAIN, PROSODY, "juliet")
EJABBERD_PARTNER = Server("ejabberd", "ejabberd", EJABBERD_DOMAIN, EJABBERD, "romeo")
#: Servers of our own domain, which DNS does not name any more. Their certificates make ejabberd take them by dialback.
LEGACY = {
    "prosody": Server("legacy-prosody", "prosody", OURS, LEGACY_PROSODY, "alice", client=False, acknowledges=False),
    "ejabberd": Server("legacy-ejabberd", "ejabberd", OURS, LEGACY_EJABBERD, "alice", client=False),
}


def start_prosody(
    stage: Stage, authorities: Authorities, server: Server = PROSODY_PARTNER, *, secure_auth: bool = True
) -> None:
    """Start a Prosody with its user. Without `secure_auth` it takes dialback for an answer."""
    root = stage.root(server.name)
    secure = "true" if secure_auth else "false"
    acknowledges = "true" if server.acknowledges else "false"
    text = _PROSODY.format(address=server.address, domain=server.domain, secure=secure, acknowledges=acknowledges)
    (root / "etc/prosody/prosody.cfg.lua").write_text(text)
    _certificate(root, authorities, server)
    accounts = root / "var/lib/prosody" / server.domain.replace(".", "%2e") / "accounts"
    accounts.mkdir(parents=True)
    (accounts / f"{server.user}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}" }};\n')
    stage.run("chroot", f"/mnt/{server.name}/root", "chown", "-R", "prosody:prosody", "/var/lib/prosody")
    stage.run("chmod", "1777", f"/mnt/{server.name}/root/run")
    stage.start(server.name, "prosody", "-F", user="prosody")
    stage.wait_for_port(server.name, server.address, 5269)


def start_ejabberd(stage: Stage, authorities: Authorities, server: Server = EJABBERD_PARTNER) -> None:
    """Start an ejabberd with its user."""
    root = stage.root(server.name)
    (root / "etc/ejabberd/ejabberd.yml").write_text(_EJABBERD.format(address=server.address, domain=server.domain))
    _certificate(root, authorities, server)
    stage.run("chroot", f"/mnt/{server.name}/root", "install", "-d", "-o", "ejabberd", "/run/ejabberd")
    stage.start(server.name, "ejabberdctl", "--node", _node(server), "foreground")
    stage.wait_for_port(server.name, server.address, 5269)
    ejabberdctl(stage, server, "register", server.user, server.domain, PASSWORD)


def close_streams(stage: Stage, server: Server, partner: str) -> str:
    """Close the stream on which `partner` sends to `server`, as its administrator would; what the server answers."""
    if server.software == "ejabberd":
        # It has no command for one stream.
        return ejabberdctl(stage, server, "stop_s2s_connections")
    command = f"s2s:close('{partner}','{server.domain}')"
    done = stage.run("chroot", f"/mnt/{server.name}/root", "prosodyctl", "shell", command)
    return done.stdout.decode().strip()


def ejabberdctl(stage: Stage, server: Server, *command: str) -> str:
    """Run a command of an ejabberd."""
    done = stage.run("chroot", f"/mnt/{server.name}/root", "ejabberdctl", "--node", _node(server), *command)
    return done.stdout.decode().strip()


def name_partner(stage: Stage, server: Server) -> None:
    """Let DNS name a partner's server."""
    stage.names.records[f"_xmpp-server._tcp.{server.domain}.", "SRV"] = [f"0 0 5269 xmpp.{server.domain}."]
    stage.names.records[f"xmpp.{server.domain}.", "A"] = [server.address]


def _node(server: Server) -> str:
    return f"{server.name}@localhost"


def _certificate(root: Path, authorities: Authorities, server: Server) -> None:
    directory = root / "etc/interop"
    directory.mkdir()
    certificate, key = authorities.issue(server.domain, f"xmpp.{server.domain}", client=server.client)
    (directory / "server.crt").write_bytes(certificate)
    (directory / "server.key").write_bytes(key)
    (directory / "ca.pem").write_bytes(authorities.pem)
