"""What reading an export comes to besides its values: problems that refuse it, and what could not be carried over.

Problems have the shape of all the toolkit's problems (docs/codes.md). A loss refuses nothing: it is printed and written
down, so that a person can decide.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Final

from xmppgw.federation.problems import Problem, Severity

#: A thousand problems do not become clearer by one more.
MAXIMUM_PROBLEMS: Final = 1_000

_HINTS: Final = {
    "export-missing": "check the path",
    "export-unreadable": "check owner and mode",
    "export-not-regular": "name files, or a directory of files",
    "export-too-large": "export only the columns that are read: `xmppgw import-legacy --script` does",
    "export-encoding": "export with -Encoding UTF8 or -Encoding Unicode",
    "export-binary": "name the exported text file itself, not a workbook or an archive",
    "export-empty": "export again; an empty file does not tell whether there is nothing or nothing was written",
    "export-unknown": "export with one of the cmdlets of docs/import.md, all columns",
    "export-cut-off": "copy the file again, whole",
    "export-csv": "export again with Export-Csv",
    "export-json": "export again with ConvertTo-Json",
    "export-xml": "export again with Export-Clixml; what it writes has none of this",
    "export-clixml": "export again with Export-Clixml",
    "export-columns": "export again with all columns",
    "export-value": "export again; if the value is like that on the platform, correct it there first",
    "export-duplicate": "leave one of them out",
    "export-conflict": "export everything again at one time, into an empty directory",
    "export-mixed": "name the exports of one deployment only",
    "export-hash": "copy the whole directory again; somebody changed the file after it was exported",
    "export-nothing": "name at least the export of Get-CsSipDomain, and that of Get-CsXmppAllowedPartner",
    "export-too-many": "is this the right directory?",
    "output-exists": "name another file, or say --force",
    "output-unwritable": "check the path, its owner and mode",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was read: file, line (0: not known) and the object, as a person would look for it."""

    file: str
    line: int = 0
    object: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of an export that is not in the document, or not for certain. `code` is documented in docs/codes.md."""

    code: str
    cmdlet: str
    object: str
    column: str
    why: str
    todo: str
    file: str
    line: int

    def as_json(self) -> dict[str, str | int]:
        """The loss as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        subject = " ".join(part for part in (self.cmdlet, self.object, self.column) if part)
        return f"[{self.code}] {subject}: {self.why}" + (f"\n    {self.todo}" if self.todo else "")


class ExportRefused(Exception):  # noqa: N818 - a refusal of one file, caught by whoever reads several
    """A file that cannot be read any further."""

    def __init__(self, code: str, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.message = message


@dataclass(slots=True)
class Findings:
    """Gathers problems and losses of one run."""

    problems: list[Problem] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    #: Problems beyond MAXIMUM_PROBLEMS, which are only counted.
    more: int = 0

    def refuse(self, code: str, origin: Origin, message: str) -> None:
        """Note a problem for which nothing will be written."""
        if len(self.problems) >= MAXIMUM_PROBLEMS:
            self.more += 1
            return
        hint = _HINTS[code]
        problem = Problem(code, Severity.ERROR, origin.file, origin.line, origin.object, message, hint)
        if problem not in self.problems[-20:]:
            self.problems.append(problem)

    def lose(self, code: str, cmdlet: str, origin: Origin, column: str, why: str, todo: str = "") -> None:  # noqa: PLR0917
        """Note what is not carried over."""
        loss = Loss(code, cmdlet, origin.object, column, why, todo, origin.file, origin.line)
        if loss not in self.losses[-20:]:
            self.losses.append(loss)
