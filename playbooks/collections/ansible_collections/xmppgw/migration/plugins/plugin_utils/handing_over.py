"""What a person is asked to do where nobody but a person may: texts and scripts for a wave of users or for routes.

Used by the action `handover`. Renders; writes and prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.xmppgw.migration.plugins.plugin_utils import wave_health
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

from xmppgw.runbook.products import PRODUCTS
from xmppgw.runbook.quoting import QuotingProblem, literal
from xmppgw.runbook.rendering import Move, route_script, wave_script


@dataclass(frozen=True)
class Order:
    """What to do, as lines for the terminal and as a file."""

    file: str
    content: bytes
    lines: tuple
    """What is said at once: short."""


def order(environment, *, kind, provider, subject, entries, back=False):
    """Return the Order for `entries` ({key, value}) of a table; `subject` names the wave or the partner."""
    if provider == "powershell":
        return _script(environment, kind, subject, entries, back=back)
    lines = [_sentence(environment, kind, entry) for entry in entries]
    lines += _proof(environment, kind, subject, back=back)
    name = f"{kind}-{subject}{'-back' if back else ''}.txt"
    kept, said = _keep_contacts(environment, entries) if kind == "homing" and not back else ((), ())
    return Order(name, ("\n".join([*kept, *lines]) + "\n").encode(), (*said, *lines))


def _keep_contacts(environment, entries):
    """Return (lines of the order, lines for the terminal) that keep the users' contact lists before anybody moves.

    Nothing where the inventory has platforms to ask: the role keeps what those hold.
    """
    legacy = environment.federation.legacy
    if environment.platforms or legacy is None or not entries:
        return (), ()
    product = PRODUCTS[legacy.product]
    if not product.user_data:
        line = f"First keep the contact lists of these users with the tools of {product.name}: it has no cmdlet for it"
        return (line,), (line,)
    try:
        by_pool = {}
        for entry in entries:
            by_pool.setdefault(_home(environment, entry), []).append(literal(environment.address_of(entry["key"])))
        lines = [
            f"foreach ($user in @({', '.join(users)})) {{ Export-CsUserData -PoolFqdn {literal(pool)} "
            f"-FileName (($user -replace '[^A-Za-z0-9.@_-]', '_') + '.zip') -UserFilter $user }}"
            for pool, users in sorted(by_pool.items())
        ]
    except QuotingProblem as problem:
        raise PictureError("migration-handover", f"the order: {problem}") from problem
    which = "line" if len(lines) == 1 else f"{len(lines)} lines"
    return tuple(lines), (f"First keep their contact lists: run the order's first {which} in the {product.shell}",)


def _sentence(environment, kind, entry):
    key, value = entry["key"], entry["value"]
    if kind == "homing":
        return f"Home {environment.address_of(key)} on {_fqdn(environment, value)}"
    target = environment.federation.pools[0].fqdn
    if value == "target":
        return f"Route {key} (and its additional domains) to {target}, port 5061, over TLS"
    return (
        f"Take the route of {key} (and of its additional domains) to {target} away, so that the old gateway serves it"
    )


def _fqdn(environment, home):
    return {name: fqdn for fqdn, name in environment.pool_names.items()}.get(home, home)


def _script(environment, kind, subject, entries, *, back):
    source = "the migration's federation document"
    switch = " -Undo" if back else ""
    try:
        if kind == "homing":
            content = wave_script(environment.document, source, subject, _moves(environment, entries, back=back))
            name = f"homing-{subject}.ps1"
            more = ""
        else:
            content = route_script(environment.document, source)
            name, more = "routes.ps1", f" -Partner {subject}"
    except QuotingProblem as problem:
        raise PictureError("migration-handover", f"{subject}: {problem}") from problem
    where = f"On {environment.management}" if environment.management else "In the management shell of the platform"
    said = f"{where}, run: .\\{name}{more}{switch} -Apply"
    return Order(name, content, (said, *_proof(environment, kind, subject, back=back)))


def _proof(environment, kind, partner, *, back):
    """Return who shows that a route is used. Nobody here can: a message along it begins with a user of the platform."""
    if kind != "route" or back:
        return ()
    pilots = environment.federation.pilot.users
    who = pilots[0] if pilots else "a user of the platform"
    return (f"Afterwards {who} writes to somebody at {partner}; it must arrive, and the answer must come back",)


def _moves(environment, entries, *, back):
    # On the way back an entry's value is where the user goes; forth it is the target, and each comes from its own home.
    return [
        Move(
            environment.address_of(entry["key"]),
            _fqdn(environment, entry["value"]) if back else _home(environment, entry),
        )
        for entry in entries
    ]


def _home(environment, entry):
    """Return the FQDN of the pool from which a user of a wave moves."""
    return _fqdn(environment, entry["home"])


def answered(environment, looks):
    """Return the results of those who could be asked, or None where nobody can: then the exports tell."""
    results = [result for result in looks if not result.get("skipped")]
    return results if results or environment.platforms else None


def open_entries(results, kind):
    """Return (keys that are not as they should be, problems) from what platforms answered; a user who left is not
    open."""
    problems = sorted({result["problem"] for result in results if result.get("problem")})
    gone = wave_health.left(results) if kind == "homing" else ()
    return sorted({key for result in results for key in result.get("elsewhere") or []} - {*gone}), problems
