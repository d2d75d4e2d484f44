"""The front end's configuration file (JSON): its exact shape, defaults and cross-field rules.

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
    MetricsSettings,
    Octets,
    Port,
    Seconds,
    SettingsProblem,
    decode,
    require_address,
    require_loopback,
)


class LinkTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One edge to dial: its internal addresses and the name that its certificate must carry."""

    server_name: Host
    addresses: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1)]
    port: Port = 23456


class PrivateTlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our certificate and key (PEM files) and the private CA that signed the other side's."""

    certificate: str
    key: str
    ca: str


class NextHop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where SIP requests go: host (name or address), port, and the name that its certificate must carry."""

    host: Host
    server_name: Host
    port: Port = 5061


class SipSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The SIP side: mutual TLS only."""

    certificate: str
    key: str
    ca: str
    next_hop: NextHop
    #: Names that may speak SIP to us; one of them must stand in the peer's certificate.
    peers: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1)]
    #: Used only when systemd passed no socket.
    listen: tuple[Endpoint, ...] = ()
    dialect: Literal["simple"] = "simple"


class PartnerAccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One XMPP partner as the front end needs it."""

    domain: Host
    additional_domains: tuple[Host, ...] = ()
    type: Literal["federated", "public_verified", "public_unverified"] = "federated"


class PolicyFlags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both flags must be true for an XMPP message to pass, in either direction."""

    enable_federation_access: bool = False
    enable_xmpp_access: bool = False


class AccessPolicies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may use XMPP federation: user beats site beats global. Closed by default."""

    everyone: PolicyFlags = msgspec.field(default=PolicyFlags(), name="global")
    #: Policies of sites and policies granted to users, by name without `site:` or `tag:`.
    sites: dict[str, PolicyFlags] = {}
    users: dict[str, PolicyFlags] = {}
    #: Whether users of Survivable Branch Appliances have XMPP: the administrator's decision (R8).
    survivable_branch: bool = False
    #: Index of the users (`xmppgw user index`); who is not in it gets nothing. None: the global policy holds for all.
    users_table: str | None = None


class FrontEndLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every bound of the front end. Sizes in octets, times in seconds."""

    #: TLS handshake on either leg.
    handshake_seconds: Seconds = 10.0
    connect_seconds: Seconds = 5.0
    #: SIP connections at once, all peers together.
    sip_connections: Count = 64
    #: Requests of one SIP connection that wait for the store or for a partner.
    sip_pending_requests: Count = 1_000
    #: CRLF keep-alive on the connection to the next hop (RFC 5626 4.4.1) and how long the pong may take.
    sip_keepalive_seconds: Seconds = 60.0
    sip_pong_seconds: Seconds = 10.0
    #: A non-INVITE transaction's 64*T1 (RFC 3261 timer F).
    sip_transaction_seconds: Seconds = 32.0
    #: Messages taken but not yet delivered, by number and by octets: one partner, all together. Whichever is reached
    #: first. Errors and replies may have as much again as all messages together.
    queue_per_partner: Count = 10_000
    queue_per_partner_bytes: Octets = 32 * 1024 * 1024
    queue_total: Count = 100_000
    queue_total_bytes: Octets = 256 * 1024 * 1024
    #: What edges may have of one lane at a time, messages and octets. Less than an edge queues (its outbound_queue_*):
    #: what it had no room for would be overtaken by what it took afterwards.
    lane_window_messages: Count = 256
    lane_window_bytes: Count = 1024 * 1024
    #: A lane whose messages an edge has waits for that edge, so that nothing is overtaken. One whose link is lost for
    #: longer than this is waited for no more: an order kept for an hour is worth less than the other edge's service.
    edge_patience_seconds: Seconds = 15.0
    #: MESSAGE requests that wait for a final response, all targets together.
    sip_outstanding: Count = 256
    #: First and longest pause between two attempts to deliver one message.
    retry_seconds: Seconds = 0.5
    retry_maximum_seconds: Seconds = 30.0
    #: How long a message id is remembered so that a repetition is recognised.
    deduplication_seconds: Seconds = 86_400.0
    #: How long we remember what we sent, so that a late error finds its sender.
    sent_memory_seconds: Seconds = 3_600.0
    #: Pause before a lost link or SIP connection is dialled again: first and longest.
    reconnect_seconds: Seconds = 0.2
    reconnect_maximum_seconds: Seconds = 5.0
    drain_seconds: Seconds = 15.0


class FrontEndSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of frontend.json."""

    #: This host's own FQDN: Via sent-by.
    node: Host
    #: The pool's FQDN: Contact.
    pool_fqdn: Host
    own_domains: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1)]
    tls: PrivateTlsSettings
    sip: SipSettings
    store: str
    control_socket: str
    #: May be empty before the first edge exists (step 1).
    links: tuple[LinkTarget, ...] = ()
    partners: tuple[PartnerAccess, ...] = ()
    access_policy: AccessPolicies = AccessPolicies()
    message_ttl_seconds: Seconds = 3600.0
    metrics: MetricsSettings = MetricsSettings(port=9061)
    limits: FrontEndLimits = FrontEndLimits()


def decode_front_end_settings(data: bytes) -> FrontEndSettings:
    """Return the front-end settings in `data`.

    Raises SettingsProblem with code `settings-too-large`, `settings-json`, `settings-key`, `settings-value` or
    `settings-conflict`.
    """
    settings = decode(data, FrontEndSettings)
    require_loopback(settings.metrics.address, "metrics.address")
    for endpoint in settings.sip.listen:
        require_address(endpoint.address, "sip.listen")
    for link in settings.links:
        for address in link.addresses:
            require_address(address, f"links {link.server_name}")
    _refuse_shared_domains(settings)
    policy = settings.access_policy
    if (policy.sites or policy.users) and policy.users_table is None:
        raise SettingsProblem(
            "settings-conflict", "access_policy has policies of sites or users, and no users_table that says whose"
        )
    return settings


def _refuse_shared_domains(settings: FrontEndSettings) -> None:
    owner: dict[str, str] = {domain.casefold(): "own_domains" for domain in settings.own_domains}
    for partner in settings.partners:
        for domain in (partner.domain, *partner.additional_domains):
            key = domain.casefold()
            if key in owner:
                raise SettingsProblem(
                    "settings-conflict", f"domain {domain!r} stands under {owner[key]} and partner {partner.domain}"
                )
            owner[key] = f"partner {partner.domain}"
