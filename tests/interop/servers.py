"""Prosody and ejabberd as a partner's administrator would configure them, on a stage."""

from __future__ import annotations

from pathlib import Path

from tests.interop.authorities import Authorities
from tests.interop.stage import EJABBERD, EJABBERD_DOMAIN, PASSWORD, PROSODY, PROSODY_DOMAIN, Stage

_PROSODY = """
interfaces = {{ "{address}" }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "dialback"; "disco"; "ping"; "smacks"; "posix" }}
pidfile = "/run/prosody.pid"
s2s_secure_auth = {secure}
s2s_require_encryption = true
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


def start_prosody(stage: Stage, authorities: Authorities, *, secure_auth: bool = True) -> None:
    """Prosody for `PROSODY_DOMAIN` with the user juliet."""
    root = stage.root("prosody")
    secure = "true" if secure_auth else "false"
    text = _PROSODY.format(address=PROSODY, domain=PROSODY_DOMAIN, secure=secure)
    (root / "etc/prosody/prosody.cfg.lua").write_text(text)
    _certificate(root, authorities, PROSODY_DOMAIN)
    accounts = root / "var/lib/prosody" / PROSODY_DOMAIN.replace(".", "%2e") / "accounts"
    accounts.mkdir(parents=True)
    (accounts / "juliet.dat").write_text(f'return {{ ["password"] = "{PASSWORD}" }};\n')
    stage.run("chroot", "/mnt/prosody/root", "chown", "-R", "prosody:prosody", "/var/lib/prosody")
    stage.run("chmod", "1777", "/mnt/prosody/root/run")
    stage.start("prosody", "prosody", "-F", user="prosody")
    _names(stage, PROSODY_DOMAIN, PROSODY)
    stage.wait_for_port("prosody", PROSODY, 5269)


def start_ejabberd(stage: Stage, authorities: Authorities) -> None:
    """ejabberd for `EJABBERD_DOMAIN` with the user romeo."""
    root = stage.root("ejabberd")
    (root / "etc/ejabberd/ejabberd.yml").write_text(_EJABBERD.format(address=EJABBERD, domain=EJABBERD_DOMAIN))
    _certificate(root, authorities, EJABBERD_DOMAIN)
    stage.run("chroot", "/mnt/ejabberd/root", "install", "-d", "-o", "ejabberd", "/run/ejabberd")
    stage.start("ejabberd", "ejabberdctl", "foreground")
    _names(stage, EJABBERD_DOMAIN, EJABBERD)
    stage.wait_for_port("ejabberd", EJABBERD, 5269)
    stage.run("chroot", "/mnt/ejabberd/root", "ejabberdctl", "register", "romeo", EJABBERD_DOMAIN, PASSWORD)


def _certificate(root: Path, authorities: Authorities, domain: str) -> None:
    directory = root / "etc/interop"
    directory.mkdir()
    certificate, key = authorities.issue(domain, f"xmpp.{domain}", client=True)
    (directory / "server.crt").write_bytes(certificate)
    (directory / "server.key").write_bytes(key)
    (directory / "ca.pem").write_bytes(authorities.pem)


def _names(stage: Stage, domain: str, address: str) -> None:
    stage.names.records[f"_xmpp-server._tcp.{domain}.", "SRV"] = [f"0 0 5269 xmpp.{domain}."]
    stage.names.records[f"xmpp.{domain}.", "A"] = [address]
