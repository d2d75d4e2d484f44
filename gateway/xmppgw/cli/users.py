"""`xmppgw user`: keeps the users' table in step with a scheduled export of the platform, and builds its index.

Called by `program`. `sync` shows what would change and, with --apply, changes it: whole or not at all, with one line in
the audit log beside the table. More change than the threshold is refused, because an export that lost half of the users
looks like half of them having left.
"""

from __future__ import annotations

import argparse
import fcntl
import getpass
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from xmppgw.cli.exits import FINE, REFUSED
from xmppgw.cli.output import bad_input, refuse, write_json
from xmppgw.exports import cmdlets
from xmppgw.exports.deployment import Gathering
from xmppgw.exports.files import FileRead, exported_files, read_file
from xmppgw.exports.findings import ExportRefused, Findings, Origin
from xmppgw.exports.people import GatheredUsers
from xmppgw.exports.writing import write_whole
from xmppgw.federation.problems import Problem, Severity
from xmppgw.policy.changes import Changes, compare
from xmppgw.policy.index import IndexProblem, UserIndex, build_index
from xmppgw.policy.users import User, UsersProblem, read_users, write_users

SCHEMA: Final = 1
#: Percent. A day on which more than this changes is not an ordinary one.
THRESHOLD: Final = 5.0
_SHOWN: Final = 20
_THRESHOLD: Final = "users-threshold"


def main(arguments: Sequence[str]) -> int:
    """Run the verb; its exit status."""
    parsed = _parser().parse_args(arguments)
    if parsed.action == "index":
        return index(parsed.users, parsed.output)
    return sync(
        parsed.exports,
        parsed.users,
        threshold=parsed.threshold,
        apply=parsed.apply,
        form=parsed.format,
        branch_pools=parsed.branch_pool,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xmppgw user",
        description="Keep the table of SIP users (docs/import.md).",
        epilog="Exit status: 0 fine, 1 refused, 2 bad input.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = actions.add_parser("sync", help="compare the table with an export, and with --apply bring it up to date")
    one.add_argument("exports", nargs="+", type=Path, metavar="EXPORT", help="of Get-CsUser, Get-CsPool, Get-CsSite")
    one.add_argument("--users", type=Path, required=True, metavar="FILE", help="the users' table (users.table)")
    one.add_argument(
        "--threshold",
        type=_percent,
        default=THRESHOLD,
        metavar="PERCENT",
        help="refuse more change; default %(default)s",
    )
    one.add_argument("--apply", action="store_true", help="write; without it only the changes are shown")
    one.add_argument(
        "--branch-pool",
        action="append",
        default=[],
        metavar="FQDN",
        help="a Survivable Branch Appliance, where no export of Get-CsPool tells",
    )
    one.add_argument("--format", choices=("text", "json"), default="text")
    two = actions.add_parser("index", help="build the front end's index from the table")
    two.add_argument("--users", type=Path, required=True, metavar="FILE")
    two.add_argument("--output", type=Path, required=True, metavar="PATH")
    return parser


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"found {text}, expected a percentage of 0 or more")
    return value


def index(users: Path, output: Path) -> int:
    """Build the index, unless it is of this very table.

    File times do not tell: `sync` gives a table the time of its export, which may be older than the index.
    """
    try:
        # Taken before the table is read: one that is replaced meanwhile is indexed again the next time.
        table = _digest_of(users)
    except OSError:
        table = ""  # Reading it says what is wrong.
    try:
        if table and _table_of(output) == table:
            print(f"{output}: up to date")
            return FINE
        count = build_index(read_users(users), output, table)
    except UsersProblem as problem:
        return _refuse([_problem_of(problem)], "text")
    except (IndexProblem, OSError) as error:
        return _refuse([bad_input("output-unwritable", str(output), str(error))], "text")
    print(f"{output}: {count} users")
    return FINE


def _table_of(output: Path) -> str:
    """The digest of the table that the index at `output` was built from; empty where there is no index."""
    try:
        with closing(UserIndex(output)) as standing:
            return standing.table()
    except IndexProblem:
        return ""  # Whatever is wrong with it, building it mends that.


def sync(
    exports: Sequence[Path], table: Path, *, threshold: float, apply: bool, form: str, branch_pools: Sequence[str] = ()
) -> int:
    """Compare, show, and with `apply` write."""
    findings, read = Findings(), list[FileRead]()
    files = exported_files(exports, findings)
    new = _exported_users(files, findings, read, branch_pools)
    if findings.problems:
        return _refuse(findings.problems, form, findings.more)
    try:
        with _alone(table, apply):
            status = _bring(table, new, files, findings, threshold=threshold, apply=apply, form=form)
            if apply and status == FINE:
                _date(table, read)
            return status
    except UsersProblem as problem:
        return _refuse([_problem_of(problem)], form)
    except ExportRefused as refusal:
        findings.refuse(refusal.code, Origin(str(table)), refusal.message)
    except OSError as error:
        findings.refuse("output-unwritable", Origin(str(table)), f"cannot write beside it: {error.strerror}")
    return _refuse(findings.problems, form)


def _exported_users(
    files: Sequence[Path], findings: Findings, read: list[FileRead], branch_pools: Sequence[str]
) -> list[User]:
    gathering = Gathering(findings)
    people = GatheredUsers(gathering.reader, findings)
    for file in files:
        for record in read_file(file, findings, read):
            exported = gathering.translated(record)
            if exported is not None and exported.cmdlet == cmdlets.USER:
                people.add(exported)
            elif exported is not None and exported.cmdlet == cmdlets.POOL:
                gathering.add(exported)
    return people.finish(gathering.finish().topology, branch_pools)


@contextmanager
def _alone(table: Path, apply: bool) -> Iterator[None]:
    """No second sync of the same table at the same time."""
    if not apply:
        yield
        return
    with audit_log(table).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportRefused("users-busy", "another sync of this table is under way") from None
        yield


def audit_log(table: Path) -> Path:
    """The log beside the table: one JSON object a line, appended only."""
    return table.with_name(f"{table.name}.audit.jsonl")


def _bring(
    table: Path, new: list[User], files: Sequence[Path], findings: Findings, *, threshold: float, apply: bool, form: str
) -> int:
    changes = compare(read_users(table) if table.exists() else (), new)
    refused = changes.percent > threshold
    write = apply and not refused and bool(changes.count or not table.exists())
    if write:
        _write(table, new, files, changes, threshold)
    if form == "json":
        write_json(_as_json(table, changes, findings, threshold=threshold, refused=refused, written=write))
    else:
        sys.stdout.write(_as_text(table, changes, findings, threshold=threshold, refused=refused, written=write))
    return REFUSED if refused else FINE


def _date(table: Path, read: Sequence[FileRead]) -> None:
    """Give the table the time of its export: it tells of that moment, however often and however late it is brought in.

    A migration that had users moved by hand goes by it (docs/moving-users.md). An export in parts is as old as its
    oldest part.
    """
    moments = [Path(each.file).stat().st_mtime for each in read if cmdlets.USER in each.objects]
    if moments and table.stat().st_mtime != min(moments):
        os.utime(table, (min(moments), min(moments)))


def _write(table: Path, new: list[User], files: Sequence[Path], changes: Changes, threshold: float) -> None:
    digest = hashlib.sha256()
    for piece in write_users(new):
        digest.update(piece)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": getpass.getuser(),
        "exports": [{"file": str(file), "sha256": _digest_of(file)} for file in files],
        "before": changes.before,
        "after": changes.after,
        "added": changes.added[:1_000] if changes.before else [],
        "removed": changes.removed[:1_000],
        "changed": [was.user for was, _ in changes.changed[:1_000]],
        "counts": {"added": len(changes.added), "removed": len(changes.removed), "changed": len(changes.changed)},
        "percent": round(changes.percent, 2),
        "threshold": threshold,
        "sha256": digest.hexdigest(),
    }
    # Announced first: a table that changed without a line would be worse than a line without a change, which its digest
    # shows.
    with audit_log(table).open("ab") as log:
        log.write(msgspec.json.encode(line) + b"\n")
        log.flush()
        os.fsync(log.fileno())
    write_whole(table, write_users(new), replace=True)


def _digest_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _as_json(
    table: Path, changes: Changes, findings: Findings, *, threshold: float, refused: bool, written: bool
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "users": str(table),
        "before": changes.before,
        "after": changes.after,
        "added": changes.added,
        "removed": changes.removed,
        "changed": [{"user": was.user, "was": was, "is": will_be} for was, will_be in changes.changed],
        "percent": round(changes.percent, 2),
        "threshold": threshold,
        "refused": refused,
        "written": written,
        "not_carried": [loss.as_json() for loss in findings.losses],
    }


def _as_text(
    table: Path, changes: Changes, findings: Findings, *, threshold: float, refused: bool, written: bool
) -> str:
    counts = f"{len(changes.added)} added, {len(changes.removed)} removed, {len(changes.changed)} changed"
    lines = [f"{table}: {changes.before} users before, {changes.after} after: {counts}"]
    for sign, users in (("+", changes.added), ("-", changes.removed)):
        lines += [f"  {sign} {user}" for user in users[:_SHOWN]]
        lines += [f"  {sign} and {len(users) - _SHOWN} more"] * (len(users) > _SHOWN)
    lines += [f"  ~ {was.user}: {_difference(was, will_be)}" for was, will_be in changes.changed[:_SHOWN]]
    lines += [f"  ~ and {len(changes.changed) - _SHOWN} more"] * (len(changes.changed) > _SHOWN)
    lines += [f"  {loss}" for loss in findings.losses]
    if refused:
        lines.append(
            f"refused [{_THRESHOLD}]: {changes.percent:.1f} % of the users would change, the limit is {threshold:g} %."
            f"\n    If that is meant, run it again with --threshold {-(-changes.percent // 1):.0f}."
        )
    elif written:
        lines.append(f"written; see {audit_log(table).name}")
    else:
        lines.append("nothing to do" if not changes.count and table.exists() else "not written: say --apply")
    return "\n".join(lines) + "\n"


def _difference(was: User, will_be: User) -> str:
    names = [name for name in User.__struct_fields__ if getattr(was, name) != getattr(will_be, name)]
    return ", ".join(f"{name} {_said(getattr(was, name))} -> {_said(getattr(will_be, name))}" for name in names)


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or "(none)"


def _problem_of(problem: UsersProblem) -> Problem:
    return Problem(problem.code, Severity.ERROR, problem.file, problem.line, "", problem.message, "see docs/codes.md")


def _refuse(problems: Sequence[Problem], form: str, more: int = 0) -> int:
    return refuse(problems, form, f"nothing written: {len(problems) + more} problems")
