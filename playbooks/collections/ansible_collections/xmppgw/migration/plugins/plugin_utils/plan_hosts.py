"""Plan, gateway hosts: release, files, units, and the dialback secret that the edges share.

Called by whole_plan. Pure but for `planned`, which reads the Picture.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, wanted


def planned(picture):
    """Return the actions on all gateway hosts."""
    environment, done, actions = picture.environment, picture.history.step, []
    for host in [*environment.front_ends, *environment.edges]:
        plain = wanted.digests(environment.wanted_host(host))
        actions += gateway_actions(host, picture.gateways.seen_on(host), plain, done)
    actions += secret_actions(
        {host: picture.gateways.seen_on(host)["files"].get(wanted.DIALBACK_SECRET) for host in environment.edges}
    )
    return actions


def gateway_actions(host, seen, standard, done):
    """Yield the actions on one gateway host.

    `standard`: what must stand there: first step, version, wheels, files {path: {stage: digest}}, units {name: {stage:
    state}}. `seen` has the same shape without stages.
    """
    first = standard["step"]
    installed = {"version": seen.get("version"), "wheels": seen.get("wheels")}
    release = {"version": standard["version"], "wheels": standard["wheels"]}
    if installed != release:
        yield planner.action(
            first,
            "install",
            host,
            f"Install xmppgw {standard['version']} on {host} from the bundled wheels",
            installed["version"],
            f"{release['version']} ({release['wheels'][:12]})",
            host,
        )
    for path, stages in sorted(standard["files"].items()):
        for step, before, after in planner.staged(stages, seen["files"].get(path), done):
            yield planner.action(step, "file", f"{host}:{path}", f"Write {path} on {host}", before, after, host)
    for name, stages in sorted(standard["units"].items()):
        for step, before, after in planner.staged(stages, seen["units"].get(name), done):
            yield planner.action(
                step, "unit", f"{host}:{name}", f"{_unit_verb(after)} {name} on {host}", before, after, host
            )


def _unit_verb(state):
    return {"enabled": "Enable and start", "disabled": "Keep closed:"}.get(state, state)


def secret_actions(digests):
    """Yield what step 5 does for the dialback secret. `digests`: edge to the digest of its secret file, or None.

    Made on the first edge, the same on all: a partner may ask any edge about what another sent (XEP-0220 section 2.4).
    """
    edges = sorted(digests)
    first = edges[0]
    for edge in edges:
        if digests[edge] is None or digests[edge] != digests[first]:
            after = "made there" if edge == first else f"the same as on {first}"
            before = None if digests[edge] is None else "another"
            yield planner.action(5, "secret", edge, f"Give {edge} the dialback secret", before, after, edge)
