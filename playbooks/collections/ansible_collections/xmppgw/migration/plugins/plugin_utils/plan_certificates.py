"""Plan, certificates: which host makes which key and has which certificate signed.

Called by whole_plan. Pure but for `planned`, which reads the Picture.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, wanted


def planned(picture):
    """Return the certificate actions on all gateway hosts."""
    environment = picture.environment
    return [
        item
        for host in [*environment.front_ends, *environment.edges]
        for item in certificate_actions(
            host, picture.gateways.judged(host), wanted.digests(environment.wanted_host(host))["certificates"]
        )
    ]


def certificate_actions(host, seen, wanted_certificates):
    """Yield the certificates to make on a host. `seen`: name to {problem}; wanted: name to {step, authority, ...}."""
    for name, certificate in sorted(wanted_certificates.items()):
        problem = (seen.get(name) or {}).get("problem", "absent")
        if problem:
            yield planner.action(
                certificate["step"],
                "certificate",
                f"{host}:{name}",
                f"Make a key on {host} and have the {name} certificate signed ({problem})",
                problem,
                {key: certificate[key] for key in ("authority", "names", "usages")},
                host,
            )
