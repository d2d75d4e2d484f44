"""Which release each gateway host goes to in a run of upgrade.yml, forth or back; decided before the first is touched.

Called by the action `upgrade_check`. Pure. Releases are named by their folders (release_switching.folder_of), so that a
version that was built twice is two releases.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils.release_switching import folder_of
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

CODE = "migration-upgrade"
OTHERWISE = "Go to a release by its version: -e to_version=<version>. Nothing was changed."


def running(seen):
    """Return the release that a gateway host runs, as `host_state` saw it."""
    return folder_of("/", seen["version"], seen["wheels"]).name


def forth(hosts, release):
    """Return {host: {from, to}}. A host that has the release already is only seen well. `hosts`: {host: seen}."""
    return {host: {"from": running(seen), "to": release} for host, seen in sorted(hosts.items())}


def back(hosts, history, services):
    """Return ({host: {from, to}} of whom to switch, {host: {from, to}} to be journalled first, what to say).

    What was upgraded is what the journal says of the newest upgrade, never what a host's `previous` says: that turns
    round with every switch. So a way back that is repeated has the same end, and changes nothing there. `hosts`: {host:
    seen}; `services`: {host: unit of its daemon}. Raises PictureError.
    """
    found = {} if history.upgrade else _from_previous(hosts, history)
    upgrade = history.upgrade or found
    moves, lines = {}, []
    for host, seen in sorted(hosts.items()):
        here, way = running(seen), upgrade.get(host)
        # Killed after the link and before the start, or before it was seen well. Whose daemon fails for reasons of its
        # own must not hold up the others' way back.
        unfinished = "outdated" in seen["units"].get(services[host], "") or host in history.returning
        if way and here == way["to"]:
            moves[host] = {"from": here, "to": way["from"]}
            lines.append(f"{host}: from {here} to {way['from']}")
        elif way and here == way["from"] and unfinished:
            moves[host] = {"from": here, "to": here}
            lines.append(f"{host}: went to {here} in a run that was ended: started if it was not, and seen well")
        else:
            lines.append(f"{host}: stays with {here}, {_why(here, way)}")
    absent = [f"{host} has no {way['to']}" for host, way in moves.items() if way["to"] not in hosts[host]["releases"]]
    if absent:
        raise PictureError(CODE, f"The release before is gone: {', '.join(absent)}. {OTHERWISE}")
    first = "One host after another" if moves else "Nothing to take back"
    if found:
        first += " (the journal knows of no upgrade: this is what each host ran before)"
    return moves, found, "\n  ".join([f"{first}:", *lines])


def _why(here, way):
    if way is None:
        return "which the newest upgrade did not touch"
    if here == way["from"]:
        return "which it ran before the newest upgrade"
    return f"which is neither side of the newest upgrade, {way['from']} to {way['to']}"


def _from_previous(hosts, history):
    """Return {host: {from, to}} by each host's `previous`; refuse unless all of them then run one release."""
    if history.returned_last:
        raise PictureError(
            CODE, f"The last that the journal tells of was a way back, and not to which release. {OTHERWISE}"
        )
    ends = {host: seen["previous"] or running(seen) for host, seen in sorted(hosts.items())}
    found = {
        host: {"from": end, "to": running(hosts[host])} for host, end in ends.items() if end != running(hosts[host])
    }
    if not found:
        raise PictureError(
            CODE,
            "No release ran before the present one, and the journal knows of no upgrade: there is nothing to go "
            "back to. Nothing was changed.",
        )
    if len(set(ends.values())) > 1:
        would = ", ".join(f"{host} {end}" for host, end in ends.items())
        raise PictureError(
            CODE,
            f"The journal knows of no upgrade, and by what each host ran before they would not all run the same: "
            f"{would}. {OTHERWISE}",
        )
    return found
