"""`xmppgw import-legacy`: exports of the old platform in, a federation document and the list of what is not in it out.

Called by `program`. Nothing is written unless everything could be read.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from xmppgw.cli.exits import FINE
from xmppgw.cli.output import refuse, write_json
from xmppgw.exports.deployment import Deployment, Gathering
from xmppgw.exports.document import Imported, document_of
from xmppgw.exports.files import FileRead, exported_files, read_file
from xmppgw.exports.findings import ExportRefused, Findings, Origin
from xmppgw.exports.script import export_script
from xmppgw.exports.writing import write_whole
from xmppgw.federation import Problem, Severity, examine_bytes

SCHEMA: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Run the verb; its exit status."""
    parsed = _parser().parse_args(arguments)
    if parsed.script:
        sys.stdout.write(export_script())
        return FINE
    if not parsed.paths or parsed.output is None:
        _parser().error("name exports, and the document to write with --output FILE; or ask for the --script")
    return import_legacy(parsed.paths, parsed.output, force=parsed.force, form=parsed.format)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xmppgw import-legacy",
        description="Turn exports of the old platform (docs/import.md) into a federation document.",
        epilog="Exit status: 0 written, 2 bad input and nothing written.",
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="exported file, or a directory of them")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the document to write; never overwritten")
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--script", action="store_true", help="print the PowerShell script that makes the exports")
    return parser


def import_legacy(paths: Sequence[Path], output: Path, *, force: bool, form: str) -> int:
    """Import; print what was read, what is missing and what was not carried over."""
    findings, read = Findings(), list[FileRead]()
    gathering = Gathering(findings)
    files = exported_files(paths, findings)
    for file in files:
        for record in read_file(file, findings, read):
            gathering.add(record)
    deployment = gathering.finish()
    if not findings.problems and not deployment.partners and not deployment.sip_domains:
        findings.refuse("export-nothing", Origin(""), "found neither a SIP domain nor an XMPP partner")
    if output.exists() and (not force or any(output.exists() and _same(output, file) for file in files)):
        message = "there is such a file already" if not force else "it is one of the exports"
        findings.refuse("output-exists", Origin(str(output)), message)
    imported = document_of(deployment, findings)
    if not findings.problems:
        try:
            write_whole(output, [imported.text.encode()], replace=force)
        except ExportRefused as refusal:
            findings.refuse(refusal.code, Origin(str(output)), refusal.message)
    if findings.problems:
        return _refuse(findings, output, form)
    problems = _beside_the_gaps(imported, str(output))
    if form == "json":
        write_json(_as_json(output, read, deployment, imported, problems, findings))
    else:
        sys.stdout.write(_as_text(output, read, deployment, imported, problems, findings))
    return FINE


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def _beside_the_gaps(imported: Imported, name: str) -> list[Problem]:
    """What `check` will refuse besides the gaps."""
    paths = {path for path, _ in imported.gaps}
    return [
        problem
        for problem in examine_bytes(imported.text.encode(), name).problems
        if problem.severity is not Severity.WARNING and problem.path not in paths
    ]


def _refuse(findings: Findings, output: Path, form: str) -> int:
    count = len(findings.problems) + findings.more
    return refuse(findings.problems, form, f"{output}: not written: {count} problem{'s' * (count != 1)}")


def _carried(deployment: Deployment) -> dict[str, int]:
    scopes = Counter(found.item.scope for found in deployment.policies.values())
    return {
        "partners": len(deployment.partners),
        "sip_domains": len(deployment.sip_domains),
        "policies_global": scopes["global"],
        "policies_site": scopes["site"],
        "policies_user": scopes["user"],
        "users_counted": deployment.users.total,
    }


def _as_json(  # noqa: PLR0917 - the whole result
    output: Path,
    read: Sequence[FileRead],
    deployment: Deployment,
    imported: Imported,
    problems: Sequence[Problem],
    findings: Findings,
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "output": str(output),
        "read": [asdict(each) for each in read],
        "carried": _carried(deployment),
        "gaps": [{"path": path, "wanted": wanted} for path, wanted in imported.gaps],
        "refused_by_check": [problem.as_json() for problem in problems],
        "not_carried": [loss.as_json() for loss in findings.losses],
    }


def _as_text(  # noqa: PLR0917 - as above
    output: Path,
    read: Sequence[FileRead],
    deployment: Deployment,
    imported: Imported,
    problems: Sequence[Problem],
    findings: Findings,
) -> str:
    lines = [f"read    {each.file}: {each.form}, {each.encoding}, {_objects(each)}" for each in read]
    carried = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in _carried(deployment).items() if count)
    lines += [f"written {output}: {carried or 'nothing'}", ""]
    lines.append(f"{len(imported.gaps)} places to fill in before `xmppgw check --document {output}` accepts it:")
    lines += [f"  {path}: {wanted}" for path, wanted in imported.gaps]
    lines += [f"  {problem.path}: {problem.message}" for problem in problems]
    lines += [
        "",
        f"{len(findings.losses)} things were not carried over:"
        if findings.losses
        else "everything else was carried over",
    ]
    lines += [f"  {loss}" for loss in findings.losses]
    return "\n".join(lines) + "\n"


def _objects(read: FileRead) -> str:
    return ", ".join(f"{count} of {cmdlet}" for cmdlet, count in sorted(read.objects.items())) or "nothing"
