"""`xmppgw check` and `xmppgw plan`: a federation document in, its problems or its tables out.

Called by `program`. Reads one file, writes to standard output; problems of a document that cannot be planned go to
standard error as text, or to standard output as the JSON list of docs/codes.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from xmppgw.cli import output, planning
from xmppgw.cli.exits import BAD_INPUT, FINE, REFUSED
from xmppgw.cli.population import Population, count_users, export_path
from xmppgw.cli.tables import code, table
from xmppgw.federation import Examination, Problem, Severity, examine_document
from xmppgw.policy.users import UsersProblem


def check(path: Path, form: str) -> int:
    """Print every problem of the document; return the exit status."""
    examination, population = examine(path)
    if form == "json":
        output.write_json([problem.as_json() for problem in examination.problems])
    elif form == "markdown":
        _write_markdown(examination.problems)
    else:
        sys.stdout.writelines(f"{problem}\n" for problem in examination.problems)
        print(_summary(path, examination, population))
    return status(examination)


def plan(path: Path, form: str, *, summaries: bool = False) -> int:
    """Print what follows from the document; return the exit status. Without a usable document, print its problems.

    `summaries`: nothing but the three tables of the planning guide: certificates, ports, DNS.
    """
    examination, population = examine(path)
    if examination.document is None:
        return refuse(path, examination, form)
    derived = planning.derive(examination.document, str(path), examination.problems, population)
    if form == "json":
        output.write_json(planning.summaries_json(derived) if summaries else planning.as_json(derived))
    else:
        text = planning.summaries_text if summaries else planning.as_text
        sys.stdout.write(text(derived, markdown=form == "markdown"))
    return status(examination)


def examine(path: Path) -> tuple[Examination, Population | None]:
    """The document and the users' table that it names; a table that cannot be used makes the document unusable."""
    examination = examine_document(path)
    export = export_path(path, examination.document) if examination.document else None
    if examination.document is None or export is None:
        return examination, None
    try:
        return examination, count_users(export, examination.document)
    except UsersProblem as problem:
        found = Problem(
            problem.code, Severity.ERROR, problem.file, problem.line, "", problem.message,
            "`xmppgw user sync --apply` writes the users' table that `users.export` names.",
        )  # fmt: skip
        return Examination(None, (*examination.problems, found)), None


def refuse(path: Path, examination: Examination, form: str) -> int:
    """Print why a document cannot be used, JSON to standard output, else to standard error; return the exit status."""
    return output.refuse(examination.problems, form, _summary(path, examination))


def status(examination: Examination) -> int:
    """The exit status that a document as such deserves."""
    if examination.document is None:
        return BAD_INPUT
    return REFUSED if examination.refused else FINE


def _summary(path: Path, examination: Examination, population: Population | None = None) -> str:
    counts = Counter(problem.severity for problem in examination.problems)
    names = ((Severity.ERROR, "error"), (Severity.REFUSED, "refusal"), (Severity.WARNING, "warning"))
    found = ", ".join(
        f"{counts[severity]} {name}{'s' * (counts[severity] != 1)}" for severity, name in names if counts[severity]
    )
    if examination.document is None:
        return f"{path}: not usable: {found}"
    federation = examination.document.federation
    size = (
        f"{len(federation.partners)} partners, {len(federation.edges)} edges, {len(federation.front_ends)} front ends"
    )
    if population is not None:
        size += f", {population.total} users"
    return f"{path}: {'refused' if examination.refused else 'fine'}: {size}{'; ' + found if found else ''}"


def _write_markdown(problems: Sequence[Problem]) -> None:
    rows = [
        (
            problem.severity.value,
            code(problem.code),
            f"{problem.file}:{problem.line}",
            code(problem.path),
            problem.message,
            problem.hint,
        )
        for problem in problems
    ]
    sys.stdout.write(
        table(("severity", "code", "place", "path", "what", "what to do"), rows, markdown=True)
        if rows
        else "No problems.\n"
    )
