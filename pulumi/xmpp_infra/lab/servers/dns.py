"""Configuration of dns1 (Knot primary and unbound resolver) and dns2 (Knot secondary).

Called by `xmpp_infra.lab.servers.content`. It writes each zone's beginning only (SOA, NS and the name servers' own
addresses); every other record is written by dynamic update with the TSIG key `lab-update` and kept in Knot's journal.
Knot signs the organisation's zones by itself, dns2 gets them signed, and unbound validates them.
"""

from __future__ import annotations

from xmpp_infra.lab.content import FileSpec, HostContent, secret

from .render import render
from .site import Site

UNBOUND_DROP_IN = "/etc/systemd/system/unbound.service.d/lab.conf"
# No root trust anchor and no chroot to set up: there is no root zone in the lab.
UNBOUND_ALONE = "[Service]\nExecStartPre=\nExecStopPost=\n"
SIGNING = "ecdsap256sha256"
TRUST_ANCHORS = "/etc/unbound/lab-anchors.ds"


def primary(site: Site) -> HostContent:
    """dns1: authoritative primary with dynamic updates, and the resolver that every host asks, on its own address."""
    files = {
        "/etc/knot/knot.conf": _knot(site, site.primary),
        "/etc/unbound/unbound.conf": FileSpec(
            render(
                "unbound.conf.j2",
                top_level=site.top_level,
                address=site.resolver,
                clients=site.resolver_clients,
                name_servers=site.name_servers.values(),
                trust_anchors=TRUST_ANCHORS,
            )
        ),
        UNBOUND_DROP_IN: FileSpec(UNBOUND_ALONE),
    }
    files |= {f"/var/lib/knot/zones/{name}.zone": _zone(site, name) for name in (site.top_level, *site.zones)}
    return HostContent(files=files, units=("knot.service", "unbound.service"), first_boot=_signing_keys(site))


def _signing_keys(site: Site) -> tuple[str, ...]:
    """Make the zones' keys before the first boot, where they are used, and tell the resolver what to trust.

    The top-level domain is not signed, so nobody above could vouch for them.
    """
    keymgr = "keymgr -c /etc/knot/knot.conf"
    return (
        *(f"{keymgr} {zone} generate algorithm={SIGNING} ksk=yes zsk=yes" for zone in site.signed_zones),
        f"for zone in {' '.join(site.signed_zones)}; do {keymgr} $zone ds; done > {TRUST_ANCHORS}",
        "chown -R knot:knot /var/lib/knot",
    )


def secondary(site: Site, fqdn: str) -> HostContent:
    """dns2: the same zones by AXFR and IXFR, both signed with the key `lab-transfer`."""
    return HostContent(files={"/etc/knot/knot.conf": _knot(site, fqdn)}, units=("knot.service",))


def _knot(site: Site, fqdn: str) -> FileSpec:
    text = render(
        "knot.conf.j2",
        fqdn=fqdn,
        primary=fqdn == site.primary,
        address=site.name_servers[fqdn],
        others={name.partition(".")[0]: address for name, address in site.name_servers.items() if name != fqdn},
        zones=(site.top_level, *site.zones),
        signed=site.signed_zones,
        signing=SIGNING,
        update_secret=secret("tsig/lab-update"),
        transfer_secret=secret("tsig/lab-transfer"),
    )
    return FileSpec(text, mode=0o640, owner="root", group="knot")


def _zone(site: Site, zone: str) -> FileSpec:
    text = render(
        "zone.j2",
        zone=zone,
        primary=site.primary,
        host_zone=site.sip_domain,
        name_servers=tuple(site.name_servers),
        # In the parent zone the same records are the glue of the delegations.
        glue=site.name_servers if zone in (site.sip_domain, site.top_level) else {},
        delegations=site.zones if zone == site.top_level else (),
    )
    return FileSpec(text, owner="knot", group="knot")
