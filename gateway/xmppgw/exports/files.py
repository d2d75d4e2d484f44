"""From paths to records: which files are read, in which form each is, and which cmdlet each object comes from.

A directory stands for the exports in it. Where it has a list of hashes (the generated script writes one), a file that
was changed since is refused. One file that cannot be read does not hide what is wrong with the next.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xmppgw.exports.clixml_form import read_clixml
from xmppgw.exports.cmdlets import (
    cmdlet_of_columns,
    cmdlet_of_file_name,
    cmdlet_of_type,
    lacking_columns,
)
from xmppgw.exports.csv_form import looks_like_csv, read_csv
from xmppgw.exports.findings import ExportRefused, Findings, Origin
from xmppgw.exports.json_form import read_json
from xmppgw.exports.records import Record
from xmppgw.exports.text import ExportText

SUFFIXES: Final = (".csv", ".json", ".xml", ".clixml", ".txt")
HASHES: Final = "SHA256SUMS"
MAXIMUM_FILES: Final = 1_000
_HASH_LINE: Final = re.compile(r"\ufeff?([0-9A-Fa-f]{64})[ \t]+\*?(\S.*)")


@dataclass(slots=True)
class FileRead:
    """What one file turned out to be."""

    file: str
    form: str
    encoding: str
    #: Objects by cmdlet; an empty list counts as zero objects of the cmdlet in the file's name.
    objects: dict[str, int]


def exported_files(paths: Sequence[Path], findings: Findings) -> list[Path]:
    """The files that `paths` name, sorted within each directory."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            findings.refuse("export-unreadable", Origin(str(path)), f"cannot read it: {error.strerror}")
            continue
        inside = [each for each in entries if each.suffix.lower() in SUFFIXES and not each.name.startswith(".")]
        if not inside:
            expected = ", ".join(SUFFIXES)
            findings.refuse("export-missing", Origin(str(path)), f"found no file that ends in {expected}")
        files += inside
        if (path / HASHES).exists():
            _compare_hashes(path, findings)
    if len(files) > MAXIMUM_FILES:
        findings.refuse("export-too-many", Origin(str(files[0].parent)), f"found {len(files)} files")
        return []
    return list(dict.fromkeys(files))


def _compare_hashes(directory: Path, findings: Findings) -> None:
    listed = directory / HASHES
    try:
        with ExportText(listed) as text:
            lines = [line.strip() for line in text.lines() if line.strip()]
    except ExportRefused as refusal:
        findings.refuse(refusal.code, Origin(str(listed), refusal.line), refusal.message)
        return
    for number, line in enumerate(lines, 1):
        found = _HASH_LINE.fullmatch(line)
        if found is None or Path(found[2]).name != found[2]:
            findings.refuse("export-hash", Origin(str(listed), number), "found no hash and file name")
            continue
        file = directory / found[2]
        try:
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            findings.refuse("export-hash", Origin(str(file)), f"it is listed, and cannot be read: {error.strerror}")
            continue
        if digest != found[1].lower():
            findings.refuse("export-hash", Origin(str(file)), f"its content is not the one that {HASHES} lists")


def read_file(path: Path, findings: Findings, seen: list[FileRead]) -> Iterator[Record]:
    """The records of one file, each with its cmdlet. What is wrong goes to `findings`; nothing is raised."""
    file = str(path)
    try:
        with ExportText(path) as text:
            form, records = _form(text, file)
            about = FileRead(file, form, text.encoding, {})
            seen.append(about)
            yield from _recognised(records, about, path, findings)
    except ExportRefused as refusal:
        findings.refuse(refusal.code, Origin(file, refusal.line), refusal.message)


class _Again(ExportText):
    """A text whose first piece has been looked at."""

    def __init__(self, text: ExportText, first: str) -> None:
        super().__init__(text.path)
        self._text = text
        self._first = first
        self.ended_with_line = text.ended_with_line

    def read(self, limit: int = 262_144) -> str:
        if self._first:
            piece, self._first = self._first, ""
            return piece
        piece = self._text.read(limit)
        self.ended_with_line = self._text.ended_with_line
        return piece


def _form(text: ExportText, file: str) -> tuple[str, Iterator[Record]]:
    first = text.read()
    while first and not first.strip() and (more := text.read()):
        first += more
    start = first.lstrip()
    again = _Again(text, first)
    if not start:
        raise ExportRefused("export-empty", "the file holds nothing but blanks")
    if start.startswith("<"):
        return "clixml", read_clixml(again, file)
    if start.startswith(("[", "{")) or re.fullmatch(r"null\s*", start):
        return "json", read_json(again, file)
    if looks_like_csv(start.splitlines()[0]):
        return "csv", read_csv(again, file)
    raise ExportRefused("export-unknown", "found neither CSV nor JSON nor CLIXML", 1)


def _recognised(records: Iterator[Record], about: FileRead, path: Path, findings: Findings) -> Iterator[Record]:
    known: dict[frozenset[str], str] = {}
    count = 0
    for record in records:
        count += 1
        cmdlet = cmdlet_of_type(record.types)
        if cmdlet is not None:
            lacking = lacking_columns(cmdlet, record.values)
            if lacking:
                message = f"found {cmdlet} without the columns that it needs: {lacking}"
                findings.refuse("export-columns", record.origin(), message)
                continue
        else:
            columns = frozenset(record.values)
            if columns not in known:
                found = cmdlet_of_columns(record.values)
                if found is None:
                    shown = ", ".join(sorted(columns)[:8])
                    message = f"found columns that belong to none of the cmdlets that are read: {shown}"
                    findings.refuse("export-unknown", Origin(record.file, record.line), message)
                known[columns] = found or ""
            cmdlet = known[columns]
            if not cmdlet:
                continue
        record.cmdlet = cmdlet
        about.objects[cmdlet] = about.objects.get(cmdlet, 0) + 1
        yield record
    if count == 0:
        cmdlet = cmdlet_of_file_name(path.name)
        if cmdlet is None:
            findings.refuse("export-unknown", Origin(str(path)), "found no object, and nothing that says of which kind")
        else:
            about.objects[cmdlet] = 0
