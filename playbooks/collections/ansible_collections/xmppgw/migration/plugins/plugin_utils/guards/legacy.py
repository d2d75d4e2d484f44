"""Guards on the legacy side: its gateway answers, and what stays its own is not touched (coexistence)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some


@dataclass
class Legacy:
    """What these guards look at."""

    silent: str = ""
    """Why the legacy gateway counts as not answering, or nothing."""
    touched: list = field(default_factory=list)
    """Parts of ours that are the legacy edge's or its gateway's, in words."""
    owned: list = field(default_factory=list)
    """SIP domains that stay the legacy gateway's (coexist)."""
    moved: list = field(default_factory=list)
    """XMPP users of such a domain who are homed on the target pool."""
    to_move: list = field(default_factory=list)
    """XMPP users of such a domain whom the document wants moved (pilots)."""
    led_away: dict = field(default_factory=dict)
    """Such a domain to the targets of ours that its SRV RRset names."""
    gone_too_early: bool = False
    """The document says that it is decommissioned, the journal does not."""


def read(picture):
    """Return the Legacy of a Picture."""
    environment, federation = picture.environment, picture.environment.federation
    owned, directory, homes = set(federation.legacy_domains), environment.directory, environment.homes
    homed = {(user, home) for table in picture.platforms.tables("homing").values() for user, home in table.items()}

    def has_xmpp_there(user):
        address = environment.address_of(user)
        return address.rpartition("@")[2] in owned and directory.may_use_xmpp(address)

    ours = {edge.fqdn for edge in federation.edges}
    return Legacy(
        silent=picture.legacy_silence(),
        touched=_touched(environment),
        owned=sorted(owned),
        moved=sorted(user for user, home in homed if home == homes["target"] and has_xmpp_there(user)),
        to_move=sorted(
            user for user in {*federation.pilot.users, *federation.users.waves.pilot} if has_xmpp_there(user)
        ),
        led_away={
            domain: sorted(ours & picture.dns.targets(domain))
            for domain in sorted(owned)
            if ours & picture.dns.targets(domain)
        },
        gone_too_early=bool(
            federation.legacy and federation.legacy.decommissioned and not picture.history.decommissioned
        ),
    )


def _touched(environment):
    federation = environment.federation
    if federation.legacy is None:
        return []
    names = {federation.legacy.gateway.fqdn: "the legacy gateway"}
    if federation.legacy.edge is not None:
        for name in federation.legacy.edge.model_dump().values():
            names[name] = "the legacy edge"
    found = [f"{edge.fqdn} is {names[edge.fqdn]}'s name" for edge in federation.edges if edge.fqdn in names]
    hosts = {federation.legacy.gateway.host, *environment.groups.get("legacy_gateway", ())}
    found += [
        f"{host} is a legacy host and one of ours"
        for host in (*environment.edges, *environment.front_ends)
        if host in hosts
    ]
    return sorted(found)


@guard("migration-legacy-silent")
def the_legacy_gateway_answers(situation):
    """What is to be replaced, or stays beside us, must be there: XMPP can be kept only where it works today."""
    if situation.done >= 6 or not situation.legacy.silent:
        return []
    return [
        Refusal(
            "migration-legacy-silent",
            "The legacy gateway must answer: until step 6 everybody's messages go through it.",
            situation.legacy.silent,
            "Start it, or open TCP 5269 from our edges to it (`xmppgw plan` lists the ports), and run again.",
        )
    ]


@guard("migration-legacy-gone")
def it_is_not_called_decommissioned_before_it_is(situation):
    """With `legacy.decommissioned` the next `pulumi up` closes the ports that everybody's messages go through."""
    if not situation.legacy.gone_too_early:
        return []
    return [
        Refusal(
            "migration-legacy-gone",
            "The legacy gateway's ports stay open until decommission.yml has ended it.",
            "legacy.decommissioned is true in the document; the journal knows of no decommission",
            "Take it out of the federation document; run `pulumi up` again if that has closed the ports.",
        )
    ]


@guard("migration-legacy-edge")
def the_legacy_edge_is_not_ours(situation):
    """New and legacy targets have different names; the legacy edge is never deployed to (coexistence rule)."""
    if not situation.legacy.touched:
        return []
    return [
        Refusal(
            "migration-legacy-edge",
            "The legacy edge and gateway are not touched: our hosts need names and machines of their own.",
            some(situation.legacy.touched),
            "Give our edge another name and host in the federation document and the inventory.",
        )
    ]


@guard("migration-coexist-user", standing=True)
def xmpp_users_of_the_legacy_gateway_stay(situation):
    """Coexistence: every user who wants XMPP through the legacy gateway stays on the legacy pool."""
    legacy = situation.legacy
    refusals = []
    if legacy.to_move and situation.step == 3:
        refusals.append(
            Refusal(
                "migration-coexist-user",
                "An XMPP user of a SIP domain that the legacy gateway owns must not be moved.",
                f"named to move: {some(legacy.to_move)}",
                "Take them out of pilot.users and users.waves.pilot, or let our gateway own their domain first.",
            )
        )
    if legacy.moved:
        refusals.append(
            Refusal(
                "migration-coexist-user",
                "An XMPP user of a SIP domain that the legacy gateway owns has no XMPP on the target pool.",
                f"homed there: {some(legacy.moved)}",
                "Move them back to the legacy pool, or let our gateway own their domain.",
            )
        )
    return refusals


@guard("migration-coexist-srv", standing=True)
def legacy_domains_lead_to_the_legacy_gateway(situation):
    """Coexistence: our edge answers a legacy-owned domain with host-unknown, so nobody may be led there."""
    return [
        Refusal(
            "migration-coexist-srv",
            "The SRV record of a SIP domain that the legacy gateway owns must not name our edges.",
            f"{domain} names {some(targets)}",
            "Point it back at the legacy gateway by hand: no run touches the records of such a domain.",
        )
        for domain, targets in situation.legacy.led_away.items()
    ]
