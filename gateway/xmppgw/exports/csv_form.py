"""Exports as CSV: `Export-Csv` of every version and locale, with and without the `#TYPE` line.

The delimiter is told by the header: a comma, or the semicolon and tab of other locales. A value may hold line ends. A
row that has fewer or more fields than the header is refused: every field behind the mistake would be another one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Final

from xmppgw.exports.findings import ExportRefused
from xmppgw.exports.records import Record
from xmppgw.exports.text import ExportText

_DELIMITERS: Final = ",;\t|"
MAXIMUM_COLUMNS: Final = 1_000


def looks_like_csv(first_line: str) -> bool:
    """Whether a first line can be a type line or a header."""
    return first_line.startswith(("#TYPE ", "#type ", "sep=")) or _header_of(first_line) is not None


def read_csv(text: ExportText, file: str) -> Iterator[Record]:
    """Every row as a record. Raises ExportRefused."""
    lines = text.lines()
    header_line, types, skipped, delimiter = _beginning(lines)
    columns = next(csv.reader([header_line], delimiter=delimiter, strict=True))
    _check(columns, skipped + 1)
    counted = _Counted(lines)
    rows = csv.reader(counted, delimiter=delimiter, strict=True)
    line = skipped + 2
    try:
        for row in rows:
            if row:
                if len(row) != len(columns):
                    whole = text.ended_with_line or not counted.finished
                    code, reason = ("export-csv", "") if whole else ("export-cut-off", "; the file ends in this row")
                    raise ExportRefused(code, f"found {len(row)} fields, expected {len(columns)}{reason}", line)
                yield Record.of(file, line, types, dict(zip(columns, row, strict=True)))
            line = skipped + 2 + counted.lines
    except csv.Error as error:
        if counted.finished and "unexpected end" in str(error):
            raise ExportRefused("export-cut-off", "the file ends within a quoted value", line) from None
        code = "export-too-large" if "field limit" in str(error) else "export-csv"
        raise ExportRefused(code, str(error), line) from None


def _beginning(lines: Iterator[str]) -> tuple[str, tuple[str, ...], int, str]:
    types: tuple[str, ...] = ()
    for number, line in enumerate(lines):
        content = line.strip("\r\n")
        if content[:6].casefold() == "#type ":
            types = (content[6:].strip().strip('"'),)
        elif content.strip() and not content.startswith("sep="):
            delimiter = _header_of(content)
            if delimiter is None:
                raise ExportRefused("export-csv", "found no header with two or more columns", number + 1)
            return content, types, number, delimiter
    raise ExportRefused("export-csv", "found no header")


def _header_of(line: str) -> str | None:
    """The delimiter that makes most columns of the line, or None where none makes two that are names."""
    best, most = None, 1
    for delimiter in _DELIMITERS:
        try:
            row = next(csv.reader([line.strip("\r\n")], delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            continue
        if len(row) > most and all(_is_name(each) for each in row):
            best, most = delimiter, len(row)
    return best


def _is_name(text: str) -> bool:
    stripped = text.strip()
    return 0 < len(stripped) <= 100 and stripped[0].isalpha() and stripped.replace("_", "").replace(" ", "").isalnum()


def _check(columns: list[str], line: int) -> None:
    if len(columns) > MAXIMUM_COLUMNS:
        raise ExportRefused("export-csv", f"found {len(columns)} columns, expected at most {MAXIMUM_COLUMNS}", line)
    seen: set[str] = set()
    for column in columns:
        folded = column.strip().casefold()
        if folded in seen:
            raise ExportRefused("export-csv", f"found the column {column!r} twice", line)
        seen.add(folded)


class _Counted:
    """Lines, counted as the CSV reader takes them; `finished` as soon as the last one was taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._ahead = next(lines, None)
        self.lines = 0

    @property
    def finished(self) -> bool:
        return self._ahead is None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._ahead is None:
            raise StopIteration
        line, self._ahead = self._ahead, next(self._lines, None)
        self.lines += 1
        return line
