"""What stands on our edges and front ends, with each certificate judged.

Part of Picture.
"""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuing, planner, wanted, wheel_fit

from xmppgw.federation.model import LINK_PORT, SIP_TLS_PORT


class SeenGateways:
    """What was found on the gateway hosts. `done`: the step up to which the journal says all is done."""

    def __init__(self, environment, seen, now, done):
        self.environment = environment
        self.seen = seen
        self.now = now
        self.done = done

    def seen_on(self, host):
        """Return what stands on a gateway host."""
        return self.seen[host]["gateway"]

    def judged(self, host):
        """Return {name: {problem}} of a host's certificates: what is wrong with each, or nothing."""
        seen, now = self.seen_on(host)["certificates"], datetime.datetime.fromtimestamp(self.now, datetime.UTC)
        return {
            name: {
                "problem": issuing.problem_of(
                    seen.get(name),
                    item,
                    wanted.roots(self.environment.authorities, item),
                    now,
                )
            }
            for name, item in self.environment.wanted_host(host)["certificates"].items()
        }

    def stage(self, host):
        """Return the step whose configuration stands, or must stand by the journal, on a gateway host."""
        plain = wanted.digests(self.environment.wanted_host(host))
        seen = self.seen[host]["gateway"]
        return planner.stage_in_force(
            plain["files"][plain["settings"]], seen["files"].get(plain["settings"]), self.done
        )

    def configured_partners(self):
        """Return the partners that the standing configurations of our hosts name."""
        hosts = [*self.environment.front_ends, *self.environment.edges]
        standing = [(self.seen[host]["gateway"].get("settings") or {}).get("partners") or [] for host in hosts]
        return sorted({partner["domain"] for partners in standing for partner in partners})

    def taken_ports(self):
        """Return ports of ours on which a host listens that has nothing of ours yet, in words."""
        needed = {
            **dict.fromkeys(self.environment.front_ends, SIP_TLS_PORT),
            **dict.fromkeys(self.environment.edges, LINK_PORT),
        }
        return [
            f"{port} on {host}"
            for host, port in sorted(needed.items())
            if self.seen_on(host).get("version") is None and port in self.seen_on(host)["listening"]
        ]

    def misfits(self):
        """Return the hosts on which the bundled wheels do not run, in words."""
        hosts = (*self.environment.front_ends, *self.environment.edges)
        return wheel_fit.misfits(self.environment.release, {host: self.seen_on(host) for host in hosts})

    def open_edges(self):
        """Return the edges that listen on 5269 or have federation enabled."""
        found = []
        for host in self.environment.edges:
            seen = self.seen[host]["gateway"]
            if 5269 in seen["listening"] or (seen.get("settings") or {}).get("federation_enabled"):
                found.append(host)
        return found
