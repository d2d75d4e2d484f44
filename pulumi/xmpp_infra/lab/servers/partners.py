"""Configuration of the partners: other organisations' XMPP servers (Prosody, one ejabberd), with their users.

Called by `xmpp_infra.lab.servers.content`. Each host also gets `through-log`, which says from the servers' own stream
logs which gateway delivered which message.
"""

from __future__ import annotations

import json

from xmpp_infra.lab.content import CertificateSpec, FileSpec, HostContent, secret

from . import prosody
from .dns import UNBOUND_ALONE, UNBOUND_DROP_IN
from .render import program, render
from .site import AHEAD, C2S_PORT, PUBLIC_CA, S2S_PORT, Partner, Site

THROUGH_LOG = "/usr/local/sbin/through-log"
ACCOUNTS_UNIT = "lab-accounts.service"
_UNIT_TEXT = """\
[Unit]
StartLimitIntervalSec=0

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
    """A Prosody with its users; alone on its host, or one of several that have an address each."""
    place = prosody.one_of_several(partner.label) if partner.shares_host else prosody.ALONE
    # Who leaves everything to dialback knows no authority but the one that nobody else knows.
    trusted = "public" if partner.demands_certificate else partner.authority
    server = prosody.content(
        "prosody-partner.cfg.lua.j2", place=place, partner=partner, trust=f"/etc/ssl/lab/{trusted}-ca.pem"
    )
    # How Prosody's internal storage names a domain: every dot as %2e.
    directory = f"{place.data}/{partner.domain.replace('.', '%2e')}/accounts"
    files = {
        f"{directory}/{user}.dat": FileSpec(
            f'return {{\n\t["password"] = "{secret(name)}";\n}};\n', mode=0o640, owner="prosody", group="prosody"
        )
        for user, name in partner.secret_names.items()
    }
    return server.merged_with(HostContent(files=files, certificates=(_certificate(partner),)))


def prosody_host(site: Site, host: str) -> HostContent:
    """Every Prosody of `host`, and what tells from their logs which way a message came."""
    whole = HostContent(files={THROUGH_LOG: FileSpec(program("through_log_prosody.py"), mode=0o755)})
    for partner in site.on_host(host):
        whole = whole.merged_with(prosody_partner(partner))
    return whole


def crowded_host(site: Site, host: str) -> HostContent:
    """partner3: several partners, the resolver of the one that does not ask ours, and an address that says nothing."""
    stubborn = next(partner for partner in site.on_host(host) if partner.resolver)
    files = {
        "/etc/unbound/unbound.conf": FileSpec(
            render(
                "unbound-static.conf.j2",
                address=stubborn.resolver,
                lab=site.resolver,
                sip_domains=site.sip_domains,
                legacy_fqdn=site.legacy_fqdn,
            )
        ),
        UNBOUND_DROP_IN: FileSpec(UNBOUND_ALONE),
        "/etc/nftables.conf": FileSpec(render("nftables-silent.conf.j2", address=site.silent_address), mode=0o755),
    }
    return prosody_host(site, host).merged_with(HostContent(files=files, units=("unbound.service", "nftables.service")))


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
    unit = _UNIT_TEXT.format(log_settings=_LOG_SETTINGS) + AHEAD
    files = {
        "/etc/ejabberd/ejabberd.yml": FileSpec(configuration, mode=0o640, group="ejabberd"),
        "/etc/systemd/system/ejabberd.service.d/lab.conf": FileSpec(unit),
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
    return CertificateSpec(partner.label, partner.authority, (partner.domain, partner.server_name))
