"""Makes text safe inside a PowerShell script and inside Markdown. A value from the document is data there, never code.

The templates may print nothing that did not come through one of these: `guarded` refuses everything else, so a filter
that was forgotten ends in an error, not in an injection.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# PowerShell ends a single-quoted string at any of these, and takes any two of them in a row for one
# (about_Quoting_Rules; CharExtensions.IsSingleQuote in its parser).
SINGLE_QUOTES: Final = frozenset("'\u2018\u2019\u201a\u201b")
# Controls, formatting (direction overrides among them), surrogates, private use, unassigned, line and paragraph ends.
_UNPRINTABLE: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# What means something inside a line; what means something only where a line begins is escaped there.
_MARKDOWN: Final = frozenset("\\`*_[]<>|~&")
_BEGINNING: Final = re.compile(r"([0-9]*)([.)#+=>-])")


class QuotingProblem(ValueError):  # noqa: N818 - the house calls what is wrong with an input a problem
    """A value that has no place in a script: it would not be seen for what it is."""


class PowerShell(str):
    """Text that is safe where it is printed in a script."""

    __slots__ = ()


class Markdown(str):
    """Text that is safe where it is printed in prose."""

    __slots__ = ()


def literal(value: str) -> PowerShell:
    """A single-quoted PowerShell string with exactly this value. Raises QuotingProblem for invisible characters."""
    quoted = "".join(character * 2 if character in SINGLE_QUOTES else character for character in _visible(value))
    return PowerShell(f"'{quoted}'")


def literals(values: list[str] | tuple[str, ...]) -> PowerShell:
    """A PowerShell array of strings."""
    return PowerShell(f"@({', '.join(literal(value) for value in values)})")


def number(value: int) -> PowerShell:
    """A decimal number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise QuotingProblem(f"{value!r:.40} is not a number")
    return PowerShell(str(value))


def boolean(value: bool) -> PowerShell:
    """`$true` or `$false`."""
    if not isinstance(value, bool):
        raise QuotingProblem(f"{value!r:.40} is not a boolean")
    return PowerShell("$true" if value else "$false")


def comment(value: str) -> PowerShell:
    """Text for the rest of a line that begins with `# `. Raises QuotingProblem where it could end that line."""
    return PowerShell(_visible(value))


def text(value: str) -> Markdown:
    """Text for Markdown prose or a table's cell, shown as it is."""
    shown = "".join(f"\\{character}" if character in _MARKDOWN else character for character in _visible(value))
    return Markdown(_BEGINNING.sub(r"\1\\\2", shown, count=1) if _BEGINNING.match(shown) else shown)


def code(value: str) -> Markdown:
    """A code span. A bar is escaped, because the span may stand in a table."""
    shown = _visible(value).replace("|", "\\|")
    longest = max((len(run) for run in _runs_of_backticks(shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return Markdown(f"{fence}{pad}{shown}{pad}{fence}")


def codes(values: list[str] | tuple[str, ...]) -> Markdown:
    """Code spans, one after another."""
    return Markdown(", ".join(code(value) for value in values))


def guarded(value: object) -> str:
    """What a template prints. Raises QuotingProblem for everything that went through none of the filters here."""
    if isinstance(value, PowerShell | Markdown):
        return value
    raise QuotingProblem(f"a template printed {value!r:.60} without a filter")


def _visible(value: str) -> str:
    if not isinstance(value, str):
        raise QuotingProblem(f"{value!r:.40} is not a text")
    for character in value:
        if unicodedata.category(character) in _UNPRINTABLE:
            raise QuotingProblem(f"found the invisible character U+{ord(character):04X} in {value[:40]!r}")
    return value


def _runs_of_backticks(value: str) -> list[str]:
    return [run for run in "".join(c if c == "`" else " " for c in value).split() if run]
