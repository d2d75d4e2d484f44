"""What the exports say of a platform that cannot be asked: who is homed where, which partner's route leads where.

Part of SeenPlatforms, for inventories without a group `platforms`: a Microsoft platform tells its state through what
its administrator exports. Reads files beside the inventory; talks to no host.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

from xmppgw.exports.cmdlets import STATIC_ROUTES
from xmppgw.exports.deployment import Gathering
from xmppgw.exports.files import exported_files, read_file
from xmppgw.exports.findings import Findings
from xmppgw.policy.users import UsersProblem, read_users

EXPORT = "export"
"""What stands where a platform's host name would."""


def users_table(environment):
    """Return the path of the users' table; raise PictureError where the document names none."""
    name = environment.federation.users.export
    if name is None:
        raise PictureError(
            "migration-export",
            "The inventory has no group platforms, so nobody can be asked who is homed where: name the users' table in "
            "users.export and bring it up to date with `xmppgw user sync`.",
        )
    return Path(environment.folder) / name


def homing(environment):
    """Return {user@domain: home} from the users' table; homes as `environment.homes` calls them, others by FQDN."""
    path, named = users_table(environment), environment.pool_names
    try:
        return {user.user: named.get(user.pool, user.pool) for user in read_users(path)}
    except UsersProblem as problem:
        raise PictureError("migration-export", f"[{problem.code}] {problem}") from problem


def routes(environment):
    """Return {partner's domain: target or legacy} from an export of Get-CsStaticRoutingConfiguration.

    A partner leads to us if every one of its domains has a static route to one of our pools.
    """
    ours = {pool.fqdn for pool in environment.federation.pools}
    leading = {match for match, target in static_routes(environment.exports).items() if target.lower() in ours}
    return {
        partner.domain: "target" if leading.issuperset(partner.domains) else "legacy"
        for partner in environment.federation.partners
    }


def static_routes(folder):
    """Return {domain: next hop} from the exports in `folder`; empty where there is no such folder."""
    if not Path(folder).is_dir():
        return {}
    findings = Findings()
    gathering = Gathering(findings)
    for record in _records(folder, findings):
        gathering.add(record)
    deployment = gathering.finish()
    if findings.problems:
        raise PictureError("migration-export", "\n".join(str(problem) for problem in findings.problems))
    return {found.item.match: found.item.target for found in deployment.routes.values()}


def sources(environment, table):
    """Return [(file, when it was written, epoch seconds)] of the exports that a table is read from, sorted."""
    if table == "homing":
        files = [users_table(environment)]
    elif Path(environment.exports).is_dir():
        findings = Findings()
        files = [file for file in exported_files([Path(environment.exports)], findings) if _is_of(file, STATIC_ROUTES)]
    else:
        files = []
    return [(file, file.stat().st_mtime) for file in files if file.exists()]


def written_at(environment, table):
    """Return when the newest export of a table was written, by the file's own time; 0 where there is none."""
    return max((moment for _file, moment in sources(environment, table)), default=0.0)


def _is_of(file, cmdlet):
    """Return whether a file holds what a cmdlet returned, none of it included."""
    about = []
    for _record in read_file(file, Findings(), about):
        pass
    return any(cmdlet in one.objects for one in about)


def _records(folder, findings):
    """Yield every exported object of a folder."""
    for file in exported_files([Path(folder)], findings):
        yield from read_file(file, findings, [])
