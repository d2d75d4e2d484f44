"""Guards on how partners are switched, and facts on partners that several guards look at."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard

from xmppgw.runbook.products import PRODUCTS


@dataclass
class Partners:
    """What guards look at."""

    configured: list = field(default_factory=list)
    """Partners in the configuration that stands on our edges and front ends."""
    at_legacy: list = field(default_factory=list)
    """Domains, listed or not, that some platform's table routes through the legacy gateway."""
    no_restart: str = ""
    """Why the legacy proxy cannot be restarted by a script though the document wants that, or nothing."""


def read(picture):
    """Return the Partners of a Picture."""
    federation = picture.environment.federation
    return Partners(
        configured=picture.gateways.configured_partners(),
        at_legacy=sorted(
            {
                domain
                for table in picture.platforms.tables("route").values()
                for domain, route in table.items()
                if route != "target"
            }
        ),
        no_restart=_no_restart(federation),
    )


def _no_restart(federation):
    if federation.drain.provider != "powershell" or federation.legacy is None:
        return ""
    product = PRODUCTS[federation.legacy.product]
    return "" if product.native_gateway else f"{product.name} has no XMPP proxy on its Edge Server to restart"


@guard("migration-drain-provider")
def streams_can_be_closed_at_legacy(situation):
    """Step 6 closes each partner's streams at the legacy gateway; without that nobody would come to us."""
    if situation.step != 6 or not situation.partners.no_restart:
        return []
    return [
        Refusal(
            "migration-drain-provider",
            "Partners' streams cannot be ended at this legacy gateway with the drain provider that the document names.",
            f"drain.provider is powershell; {situation.partners.no_restart}",
            "Use `wait`, or stop after step 5 (-e last_step=5): partners go on through the legacy gateway.",
        )
    ]
