"""`xmppgw runbook`: the platform runbook of a federation document, as files.

Called by `program`. Renders everything before it writes anything, and replaces each file whole.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from xmppgw.cli.exits import BAD_INPUT, FINE, REFUSED
from xmppgw.federation import examine_document
from xmppgw.runbook.quoting import QuotingProblem
from xmppgw.runbook.rendering import PARTS, Attachment, RunbookProblem, render


def main(argv: Sequence[str]) -> int:
    """Write a runbook; return the exit status."""
    parsed = _parser().parse_args(argv)
    return write_runbook(parsed.document, parsed.output, parsed.part, parsed.attachment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xmppgw runbook",
        description="Write what the SIP platform's administrator runs and reads: PowerShell scripts and RUNBOOK.md.",
        epilog="Exit status: 0 fine, 1 refused, 2 bad input; then nothing is written.",
    )
    parser.add_argument("--document", type=Path, metavar="PATH", required=True, help="federation document")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder for the files")
    parser.add_argument(
        "--part", action="append", choices=[part.name for part in PARTS], help="only this part; may be repeated"
    )
    parser.add_argument(
        "--attachment",
        choices=[each.value for each in Attachment],
        default=Attachment.TRUSTED_APPLICATION.value,
        help="how the platform reaches our pool; default %(default)s",
    )
    return parser


def write_runbook(document: Path, output: Path, parts: Sequence[str] | None, attachment: str) -> int:
    """Write the runbook of `document` into the folder `output`; return the exit status."""
    examination = examine_document(document)
    if examination.document is None or examination.refused:
        for problem in examination.problems:
            print(problem, file=sys.stderr)
        print(f"xmppgw runbook: nothing written: {document} has to be put right first", file=sys.stderr)
        return BAD_INPUT if examination.document is None else REFUSED
    try:
        files = render(examination.document, document.name, attachment=Attachment(attachment), parts=parts)
    except (QuotingProblem, RunbookProblem) as problem:
        return _bad_input("runbook-value", f"nothing written: {problem}")
    try:
        _write(output, files)
    except OSError as error:
        return _bad_input("runbook-output", f"{output}: {error.strerror}")
    for name in sorted(files):
        print(output / name)
    return FINE


def _bad_input(code: str, message: str) -> int:
    print(f"xmppgw runbook: [{code}] {message}", file=sys.stderr)
    return BAD_INPUT


def _write(output: Path, files: dict[str, bytes]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        unfinished = output / f".{name}.unfinished"
        unfinished.write_bytes(content)
        unfinished.replace(output / name)
