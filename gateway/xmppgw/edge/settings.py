"""The edge's configuration file (JSON): its exact shape, defaults and cross-field rules.

Derived from the federation document by `xmppgw.federation`, read by the daemon at start and on SIGHUP. Unknown keys,
wrong types and impossible combinations are refused as a whole: a daemon never runs on half a file.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from xmppgw.telemetry.settings import (
    Count,
    Endpoint,
    Host,
    ListenPort,
    MetricsSettings,
    Port,
    Seconds,
    SettingsProblem,
    decode,
    require_address,
    require_loopback,
)

Requirement = Literal["required", "optional", "not_supported"]


class StaticTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a partner is reached when DNS is not to be asked (RFC 6120 3.2.3 encourages such an override)."""

    host: Host
    port: Port = 5269


class PartnerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One XMPP partner as the edge needs it: who may speak, and how each side must prove itself."""

    domain: Host
    additional_domains: tuple[Host, ...] = ()
    tls: Requirement = "required"
    sasl: Requirement = "required"
    dialback: bool = False
    addresses: tuple[StaticTarget, ...] = ()
    #: SHA-256 of the peer's leaf certificate, 64 hex digits; when given, only these are accepted (RFC 6120 13.6).
    pins: tuple[Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")], ...] = ()
    #: PEM file of an authority of the partner's own: for its domains it stands in place of `tls.trust`.
    authority: str | None = None


class LinkListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where front ends dial in (mutual TLS, private CA) and which names their certificates may carry."""

    listen_address: Host
    certificate: str
    key: str
    ca: str
    peers: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1)]
    port: ListenPort = 23456


class LegacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway that is being replaced, as long as partners may still be with it."""

    #: Tried in this order.
    addresses: Annotated[tuple[StaticTarget, ...], msgspec.Meta(min_length=1, max_length=8)]
    #: Which partners have been switched; written by the edge itself.
    phases_file: Annotated[str, msgspec.Meta(min_length=1)] = "/var/lib/xmppgw-edge/phases.json"


class PublicTlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The certificate shown to partners and the trust anchors (PEM files) for theirs."""

    certificate: str
    key: str
    trust: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class EdgeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every bound of the edge. Sizes in octets, times in seconds."""

    #: Connections that have not authenticated yet: one client address (IPv6: one /64), and all together.
    preauthentication_per_address: Count = 64
    preauthentication_total: Count = 256
    #: While a legacy gateway is configured: octets and time in which the first stream header has to be complete.
    first_header_bytes: Annotated[int, msgspec.Meta(ge=512, le=8192)] = 4_096
    first_header_seconds: Seconds = 10.0
    #: Connections joined to the legacy gateway: all together, and those of one client address (IPv6: one /64).
    splices_total: Count = 1000
    splices_per_address: Count = 128
    #: Octets of one direction of a joined connection that are held while the other side does not take them.
    splice_buffer_bytes: Count = 64 * 1024
    #: A joined connection without an octet either way is ended after this long (a peer reconnects when it has something
    #: to say), and after the shorter time once one side has said its last.
    splice_idle_seconds: Seconds = 7200.0
    splice_half_open_seconds: Seconds = 60.0
    #: Dialback questions passed on to the legacy gateway: at once, and per partner and minute.
    relays_at_once: Count = 16
    relays_per_minute: Count = 60
    #: All streams, and those of one partner (the product's ConnectionLimit and PartnerConnectionLimit).
    streams_total: Count = 1000
    streams_per_partner: Count = 20
    #: TCP accept to authenticated stream; the same outbound after TCP connect.
    negotiation_seconds: Seconds = 30.0
    #: One TCP connection attempt, and the head start that each gets before the next (RFC 8305 5).
    connect_seconds: Seconds = 10.0
    attempt_delay_seconds: Seconds = 0.25
    #: One DNS question with all its retries.
    resolve_seconds: Seconds = 6.0
    #: After a failed connection attempt to a partner, stanzas fail at once for this long (doubling up to the second).
    retry_seconds: Seconds = 1.0
    retry_maximum_seconds: Seconds = 60.0
    #: RFC 6120 13.12: at least 10,000.
    stanza_bytes: Annotated[int, msgspec.Meta(ge=10_000, le=16 * 1024 * 1024)] = 262_144
    stanza_elements: Count = 2_000
    stanza_depth: Count = 32
    stanza_attributes: Count = 64
    #: What waits for one outbound stream to come up or to be written.
    outbound_queue_stanzas: Count = 1_000
    outbound_queue_bytes: Count = 4 * 1024 * 1024
    #: Octets written to a socket but not yet taken by the kernel before we stop producing more.
    write_buffer_bytes: Count = 256 * 1024
    #: White space after this long without a written octet (RFC 6120 4.6.1).
    keepalive_seconds: Seconds = 240.0
    #: An outbound stream without a stanza for this long is closed gracefully.
    idle_seconds: Seconds = 600.0
    #: How long a closing stream may wait for the peer's own `</stream:stream>`.
    close_seconds: Seconds = 5.0
    #: SIGTERM to exit.
    drain_seconds: Seconds = 15.0
    #: Stanzas handed to the front end and not yet acknowledged before the edge stops reading from partners.
    link_window: Count = 512
    #: A front end that is away longer than this makes the edge answer partners with errors instead of waiting.
    link_absence_seconds: Seconds = 60.0
    dns_cache_entries: Count = 4_096
    dns_maximum_ttl_seconds: Seconds = 3600.0


class EdgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of edge.json."""

    node: Host
    own_domains: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1)]
    link: LinkListenSettings
    control_socket: str
    #: Closed by default: without it the edge speaks to no partner at all and `tls`, `dialback_secret_file` and
    #: `resolver` may be absent or name files that do not exist yet.
    federation_enabled: bool = False
    #: Used only when systemd passed no socket.
    listen: tuple[Endpoint, ...] = ()
    tls: PublicTlsSettings | None = None
    dialback_secret_file: str | None = None
    #: Recursive resolvers, asked in order.
    resolver: tuple[Host, ...] = ()
    resolver_port: Port = 53
    partners: tuple[PartnerSettings, ...] = ()
    #: Present from step 5 until decommission: partners are then switched one by one (`phases`).
    legacy: LegacySettings | None = None
    metrics: MetricsSettings = MetricsSettings(port=9269)
    limits: EdgeLimits = EdgeLimits()


def decode_edge_settings(data: bytes) -> EdgeSettings:
    """Return the edge settings in `data`.

    Raises SettingsProblem with code `settings-too-large`, `settings-json`, `settings-key`, `settings-value` or
    `settings-conflict`.
    """
    settings = decode(data, EdgeSettings)
    require_loopback(settings.metrics.address, "metrics.address")
    require_address(settings.link.listen_address, "link.listen_address")
    for endpoint in settings.listen:
        require_address(endpoint.address, "listen")
    for address in settings.resolver:
        require_address(address, "resolver")
    if settings.federation_enabled:
        _require_for_federation(settings)
    _refuse_shared_domains(settings)
    _refuse_two_ways_to_trust(settings)
    return settings


def _require_for_federation(settings: EdgeSettings) -> None:
    if settings.tls is None:
        raise SettingsProblem("settings-conflict", "federation_enabled needs tls: certificate, key and trust")
    if settings.dialback_secret_file is None and any(partner.dialback for partner in settings.partners):
        raise SettingsProblem("settings-conflict", "a partner with dialback needs dialback_secret_file")
    if not settings.resolver and any(not partner.addresses for partner in settings.partners):
        raise SettingsProblem("settings-conflict", "a partner without addresses needs a resolver")
    if settings.legacy is not None and not settings.resolver:
        for target in settings.legacy.addresses:
            require_address(target.host, "legacy.addresses, without a resolver")


def _refuse_two_ways_to_trust(settings: EdgeSettings) -> None:
    for partner in settings.partners:
        if partner.pins and partner.authority is not None:
            raise SettingsProblem("settings-conflict", f"partner {partner.domain} has both pins and an authority")


def _refuse_shared_domains(settings: EdgeSettings) -> None:
    owner: dict[str, str] = {domain.casefold(): "own_domains" for domain in settings.own_domains}
    for partner in settings.partners:
        for domain in (partner.domain, *partner.additional_domains):
            key = domain.casefold()
            if key in owner:
                raise SettingsProblem(
                    "settings-conflict", f"domain {domain!r} stands under {owner[key]} and partner {partner.domain}"
                )
            owner[key] = f"partner {partner.domain}"
