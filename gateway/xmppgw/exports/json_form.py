"""Exports as JSON: what `ConvertTo-Json` makes of one object, of several, and of several in Windows PowerShell 5.1.

One object stands alone, several in an array; 5.1 may wrap the array as `{"value": [...], "Count": n}`. Values keep
their JSON types; an enumeration is a number.
"""

from __future__ import annotations

from collections.abc import Iterator

from xmppgw.exports.findings import ExportRefused
from xmppgw.exports.records import Record, Shortened, Value, is_shortened
from xmppgw.exports.text import ExportText
from xmppgw.policy.streamed import Json, JsonText, StreamedJsonError


def read_json(text: ExportText, file: str) -> Iterator[Record]:
    """Every object as a record. Raises ExportRefused."""
    cursor = JsonText(text.read)
    try:
        yield from _top(cursor, file)
        cursor.end()
    except StreamedJsonError as error:
        raise ExportRefused("export-cut-off" if error.cut_off else "export-json", str(error), error.line) from None


def _top(cursor: JsonText, file: str) -> Iterator[Record]:
    first = cursor.peek()
    if first == "[":
        yield from _items(cursor, file)
        return
    if first != "{":
        if cursor.value() is None:  # what ConvertTo-Json makes of no object
            return
        raise ExportRefused("export-json", "found a single value, expected objects", cursor.line)
    line = cursor.line
    values: dict[str, Json] = {}
    wrapped = 0
    is_wrapper = False
    for key in cursor.members():
        if key.casefold() == "value" and cursor.peek() == "[" and not values:
            is_wrapper = True
            for record in _items(cursor, file):
                wrapped += 1
                yield record
        else:
            values[key] = cursor.value()
    if not is_wrapper:
        yield Record.of(file, line, (), {name: _value(each) for name, each in values.items()})
    elif {key.casefold() for key in values} != {"count"} or next(iter(values.values())) != wrapped:
        raise ExportRefused("export-json", f"found {wrapped} objects; the count beside them is another", cursor.line)


def _items(cursor: JsonText, file: str) -> Iterator[Record]:
    for line, item in cursor.items():
        if not isinstance(item, dict):
            raise ExportRefused("export-json", "found an item that is not an object", line)
        yield Record.of(file, line, (), {name: _value(each) for name, each in item.items()})


def _value(value: Json) -> Value:
    if isinstance(value, str) and is_shortened(value):
        return Shortened(value)
    if isinstance(value, list):
        return [_value(each) for each in value]
    if isinstance(value, dict):
        return {name: _value(each) for name, each in value.items()}
    return value
