"""One exported object, whatever form it came in, and its values with the types that are needed.

The three readers make records; everyone behind them asks for `text`, `flag`, `number`, `choice` and `texts` and gets
the same answer for CSV, JSON and CLIXML, or a problem with file, line and column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from xmppgw.exports.findings import Findings, Origin


@dataclass(frozen=True, slots=True)
class Enumerated:
    """A value of an enumeration: its name, and its number where that is known."""

    name: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Shortened:
    """What PowerShell left of a value that lay too deep: a type name, `@{...}`, or nothing."""

    text: str


Value: TypeAlias = "bool | int | float | str | Enumerated | Shortened | list[Value] | dict[str, Value] | None"

# "System.Object[]", "Microsoft.Rtc.…", "System.Collections.Generic.List`1[System.String]", "@{Name=x; …}".
_TYPE_NAME: Final = re.compile(
    r"(?:Deserialized\.)?(?:System|Microsoft)\.[A-Za-z0-9_.+]+(?:`\d+)?(?:\[.*\])?(?:#[\w.]+)?|@\{.*", re.DOTALL
)


def is_shortened(text: str) -> bool:
    """Whether the text is a type name or the like instead of a value."""
    return _TYPE_NAME.fullmatch(text.strip()) is not None


def show(value: object) -> str:
    """A value as messages quote it."""
    text = value.name if isinstance(value, Enumerated) else value.text if isinstance(value, Shortened) else str(value)
    text = "".join(character if character.isprintable() else " " for character in text[:61])
    return f"`{text[:59]}…`" if len(text) > 60 else f"`{text}`"


@dataclass(slots=True)
class Record:
    """One object. Columns are looked up without case, as PowerShell does."""

    file: str
    line: int
    types: tuple[str, ...]
    values: dict[str, Value]
    #: Set when it is known which cmdlet made it.
    cmdlet: str = ""
    #: Made from a row of the plain form.
    translated: bool = False

    @classmethod
    def of(cls, file: str, line: int, types: tuple[str, ...], values: Mapping[str, Value]) -> Record:
        """A record with columns folded."""
        return cls(file, line, types, {name.strip().casefold(): value for name, value in values.items()})

    def has(self, column: str) -> bool:
        """Whether the export has the column at all."""
        return column.casefold() in self.values

    def get(self, column: str) -> Value:
        """The raw value; None where it is missing or empty."""
        value = self.values.get(column.casefold())
        return None if isinstance(value, str) and not value.strip() else value

    def origin(self, name: str = "") -> Origin:
        """Where it was read."""
        return Origin(self.file, self.line, name or self.name)

    @property
    def name(self) -> str:
        """What a person would call it: its identity, as far as that can be read."""
        for column in ("identity", "domain", "sipaddress", "name", "fqdn"):
            value = self.get(column)
            if isinstance(value, str | Enumerated):
                return show(value).strip("`")
        return ""


class Reader:
    """Takes typed values out of records and notes what is wrong."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def wrong(self, record: Record, column: str, expected: str) -> None:
        """Note that a column holds something else."""
        found = record.get(column)
        what = "nothing" if found is None else show(found)
        where = record.origin()
        path = f"{where.object}.{column}" if where.object else column
        self.findings.refuse(
            "export-value", Origin(where.file, where.line, path), f"{column}: found {what}, expected {expected}"
        )

    def text(self, record: Record, *columns: str) -> str:
        """The first of the columns that has a value, as text; empty if none has. Blanks around it are kept."""
        for column in columns:
            value = _plain(record.get(column))
            if value is None:
                continue
            if isinstance(value, Enumerated):
                return value.name
            if isinstance(value, str) and not is_shortened(value):
                return value
            if isinstance(value, int | float) and not isinstance(value, bool):
                return str(value)
            self.wrong(record, column, "a text (PowerShell may have shortened it: export with -Depth)")
            return ""
        return ""

    def flag(self, record: Record, column: str, default: bool) -> bool:
        """True or False."""
        value = _plain(record.get(column))
        if value is None:
            self._absent(record, column, str(default))
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
            return value.strip().casefold() == "true"
        if value in (0, 1) and isinstance(value, int):
            return bool(value)
        self.wrong(record, column, "True or False")
        return default

    def number(self, record: Record, column: str) -> int | None:
        """An unsigned 32-bit number, or None where there is none."""
        value = _plain(record.get(column))
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,10}\s*", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32:
            return value
        self.wrong(record, column, "a whole number from 0 to 4294967295")
        return None

    def choice(self, record: Record, column: str, names: tuple[str, ...], default: str) -> str:
        """One of the names of an enumeration, in the platform's spelling."""
        value = _plain(record.get(column))
        if value is None:
            self._absent(record, column, default)
            return default
        if isinstance(value, Enumerated):
            value = value.name
        if isinstance(value, str):
            word = value.strip().casefold()
            for name in names:
                if name.casefold() == word:
                    return name
            value = int(word) if re.fullmatch("[0-9]", word) else value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            self.findings.lose(
                "lost-number",
                record.cmdlet,
                record.origin(),
                column,
                f"found the number {value}; read as {names[value]}, by the order in which the values are documented",
                "check it on the platform, or export with Export-Clixml, which keeps the names",
            )
            return names[value]
        self.wrong(record, column, ", ".join(names))
        return default

    def texts(self, record: Record, column: str, why_it_matters: str) -> tuple[str, ...] | None:
        """A list of texts. None if PowerShell flattened it, which is noted as a loss."""
        value = record.get(column)
        if value is None:
            if not record.has(column):
                self._absent(record, column, "an empty list")
            return ()
        found = _list_of(value)
        if found is None:
            self.findings.lose(
                "lost-flattened",
                record.cmdlet,
                record.origin(),
                column,
                f"found {show(value)}: PowerShell wrote the list's type, not its items; {why_it_matters}",
                "export with Export-Clixml -Depth 6, or add what is missing by hand",
            )
        return found

    def _absent(self, record: Record, column: str, default: str) -> None:
        if not record.has(column):
            self.findings.lose(
                "lost-column",
                record.cmdlet,
                record.origin(),
                column,
                f"the export has no such column; the platform's default, {default}, was written",
                "export with all columns, or check the value on the platform",
            )


def _plain(value: Value) -> Value:
    """What stands in an object that only wraps a value: `{"value": …, "Count": …}`, an identity with a name."""
    if isinstance(value, dict):
        folded = {key.casefold(): each for key, each in value.items()}
        for key in ("value", "name", "identity", "friendlyname", "fqdn"):
            inner = folded.get(key)
            if isinstance(inner, str | bool | int | Enumerated):
                return inner
        return Shortened("an object")
    if isinstance(value, list) and len(value) == 1:
        return _plain(value[0])
    return value


def _list_of(value: Value) -> tuple[str, ...] | None:
    if isinstance(value, dict):
        folded = {key.casefold(): each for key, each in value.items()}
        inner = folded.get("value")
        if isinstance(inner, list):
            return _list_of(inner)
        if set(folded) == {"value", "count"} and inner is None:
            return ()
        one = _plain(value)
        return (one,) if isinstance(one, str) else None
    if isinstance(value, list):
        items = [_plain(each) for each in value]
        texts = [each.name if isinstance(each, Enumerated) else each for each in items]
        if any(not isinstance(each, str) or is_shortened(each) for each in texts):
            return None
        return tuple(str(each).strip() for each in texts if str(each).strip())
    if isinstance(value, str):
        if is_shortened(value):
            return None
        # Joined by whoever exported: -join ';', Out-String, or ConvertTo-Json at its depth.
        return tuple(part for part in re.split(r"[\s;,|]+", value.strip().strip("{}")) if part)
    return None
