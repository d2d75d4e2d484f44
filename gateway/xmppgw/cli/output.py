"""What every verb prints in the same way: JSON, and why it was refused.

Called by the verbs. Results go to standard output. Problems go to standard error as text, or to standard output as the
JSON list of docs/codes.md, so that a pipeline that asked for JSON always gets some.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from xmppgw.cli.exits import BAD_INPUT
from xmppgw.federation import Problem, Severity


def write_json(value: object) -> None:
    """Print a value as indented JSON."""
    # Ten thousand partners: the standard library would indent them in Python, one by one.
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def refuse(problems: Sequence[Problem], form: str, *more: str) -> int:
    """Print why the input cannot be used, as text with `more` lines at its end; return the exit status."""
    if form == "json":
        write_json([problem.as_json() for problem in problems])
    else:
        sys.stderr.writelines(f"{problem}\n" for problem in problems)
        sys.stderr.writelines(f"{line}\n" for line in more)
    return BAD_INPUT


def bad_input(code: str, file: str, message: str, hint: str = "") -> Problem:
    """A problem of what was typed or named, tied to no line."""
    return Problem(code, Severity.ERROR, file, 0, "", message, hint)
