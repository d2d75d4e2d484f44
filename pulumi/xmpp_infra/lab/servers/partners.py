"""Configuration of partner1 (Prosody) and partner2 (ejabberd): other organisations' XMPP servers, with their users.

Called by `xmpp_infra.lab.servers.content`. Both also get `through-log`, which says from their own stream logs which
gateway delivered which message.
"""

from __future__ import annotations

import json

from xmpp_infra.lab.content import CertificateSpec, FileSpec, HostContent, secret

from . import prosody
from .render import program, render
from .site import C2S_PORT, PUBLIC_CA, S2S_PORT, Partner

THROUGH_LOG = "/usr/local/sbin/through-log"
ACCOUNTS_UNIT = "lab-accounts.service"
_UNIT_TEXT = """\
[Service]
# Reads its key in /etc/ssl/lab.
SupplementaryGroups=ssl-cert
Restart=always
RestartSec=1
# It logs to /var/log/ejabberd and would say everything again here.
StandardOutput=null
ExecStartPost=/bin/sh -ec 'erl_call -n ejabberd@localhost -c $(cat /var/lib/ejabberd/.erlang.cookie) -e <{log_settings}'
"""
_LOG_SETTINGS = "/etc/ejabberd/log-what-is-read.erl"
# At debug level ejabberd writes 5 KB a message and, on a busy machine, drops entries that through-log needs. Its
# configuration can only name one level for all; once it runs, all but what through-log reads go back to info.
_LOG_SETTINGS_TEXT = """\
xmpp:set_config([{debug, true}]),
logger:set_module_level([ejabberd_listener, xmpp_socket], debug),
ok = logger:update_handler_config(ejabberd_log, config,
    #{sync_mode_qlen => 100000, drop_mode_qlen => 100000, flush_qlen => 200000, burst_limit_enable => false}),
logger:set_primary_config(level, info).
"""
_ACCOUNTS_DIRECTORY = "/etc/lab-accounts"


def prosody_partner(partner: Partner) -> HostContent:
    """partner1: demands encryption and a certificate that names the peer's domain."""
    server = prosody.content(
        "prosody-partner.cfg.lua.j2", domain=partner.domain, host=partner.host, public_ca=PUBLIC_CA
    )
    # How Prosody's internal storage names a domain: every dot as %2e.
    directory = f"/var/lib/prosody/{partner.domain.replace('.', '%2e')}/accounts"
    files = {
        f"{directory}/{user}.dat": FileSpec(
            f'return {{\n\t["password"] = "{secret(name)}";\n}};\n', mode=0o640, owner="prosody", group="prosody"
        )
        for user, name in partner.secret_names.items()
    }
    files[THROUGH_LOG] = FileSpec(program("through_log_prosody.py"), mode=0o755)
    return server.merged_with(HostContent(files=files, certificates=(_certificate(partner),)))


def ejabberd_partner(partner: Partner) -> HostContent:
    """partner2: demands encryption; takes a certificate only if it may be a client's, and else asks by dialback."""
    configuration = render(
        "ejabberd.yml.j2",
        domain=partner.domain,
        host=partner.host,
        public_ca=PUBLIC_CA,
        c2s_port=C2S_PORT,
        s2s_port=S2S_PORT,
    )
    files = {
        "/etc/ejabberd/ejabberd.yml": FileSpec(configuration, mode=0o640, group="ejabberd"),
        "/etc/systemd/system/ejabberd.service.d/lab.conf": FileSpec(_UNIT_TEXT.format(log_settings=_LOG_SETTINGS)),
        _LOG_SETTINGS: FileSpec(_LOG_SETTINGS_TEXT, group="ejabberd"),
        f"/etc/systemd/system/{ACCOUNTS_UNIT}": FileSpec(
            render("lab-accounts.service.j2", directory=_ACCOUNTS_DIRECTORY)
        ),
        THROUGH_LOG: FileSpec(program("through_log_ejabberd.py"), mode=0o755),
    }
    for user, name in partner.secret_names.items():
        account = {"user": user, "host": partner.domain, "password": secret(name)}
        files[f"{_ACCOUNTS_DIRECTORY}/{user}.json"] = FileSpec(json.dumps(account) + "\n", mode=0o640)
    return HostContent(files=files, units=("ejabberd.service", ACCOUNTS_UNIT), certificates=(_certificate(partner),))


def _certificate(partner: Partner) -> CertificateSpec:
    return CertificateSpec(partner.host, "public", (partner.domain, partner.server_name))
