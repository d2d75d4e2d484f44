"""Exports as CLIXML: what `Export-Clixml` writes, which keeps types, lists and the names of enumerations.

The objects are rebuilt as far as they are needed: properties, lists, dictionaries, enumerations, references. A document
type, an entity, a processing instruction or anything else that PowerShell never writes is refused at once; nothing is
ever fetched or expanded. Values are read one top-level object at a time.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

from xmppgw.exports.findings import ExportRefused
from xmppgw.exports.records import Enumerated, Record, Shortened, Value
from xmppgw.exports.text import ExportText

NAMESPACE: Final = "http://schemas.microsoft.com/powershell/2004/04"
#: Elements within elements; Export-Clixml -Depth goes to 100, and each level takes up to three elements.
DEEPEST: Final = 320
#: Elements of one top-level object.
MOST_ELEMENTS: Final = 200_000
LONGEST_TEXT: Final = 1_048_576
#: Objects that a later reference may name. Bounded, because an export may hold millions.
_REMEMBERED: Final = 50_000

_ESCAPE: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_WHOLE: Final = frozenset(("I16", "I32", "I64", "U16", "U32", "U64", "By", "SB"))
_FRACTION: Final = frozenset(("Db", "Sg", "D"))
_TEXT: Final = frozenset(("S", "C", "G", "DT", "TS", "URI", "Version", "XD", "SBK", "BA", "SS", "PR"))
_LISTS: Final = frozenset(("LST", "IE", "STK", "QUE"))
_MEMBERS: Final = frozenset(("Props", "MS"))
_CONTAINERS: Final = _LISTS | _MEMBERS | {"DCT", "En", "TN", "TNRef", "T", "ToString"}
_UNCLOSED: Final = frozenset(
    expat.errors.codes[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
    )
)


def read_clixml(text: ExportText, file: str) -> Iterator[Record]:
    """Every top-level object as a record. Raises ExportRefused."""
    parser = _Parser(file)
    while piece := text.read():
        parser.feed(piece, final=False)
        yield from parser.take()
    parser.feed("", final=True)
    yield from parser.take()


def unescape(text: str) -> str:
    """Undo `_x000A_`. Raises ValueError for half a character."""
    if "_x" not in text:
        return text
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


class _Open:
    """An element whose end has not been read yet."""

    __slots__ = ("entries", "items", "line", "members", "name", "reference", "string", "tag", "text", "types", "value")

    def __init__(self, tag: str, name: str, reference: str, line: int) -> None:
        self.tag = tag
        self.name = name
        self.reference = reference
        self.line = line
        self.text: list[str] = []
        self.types: tuple[str, ...] = ()
        self.string: str | None = None
        self.value: Value | _Nothing = _NOTHING
        self.members: dict[str, Value] | None = None
        self.items: list[Value] | None = None
        self.entries: dict[str, Value] | None = None


class _Nothing:
    """Told from a value that is None."""


_NOTHING: Final = _Nothing()


class _Parser:
    def __init__(self, file: str) -> None:
        self._file = file
        self._stack: list[_Open] = []
        self._records: list[Record] = []
        self._types: dict[str, tuple[str, ...]] = {}
        self._objects: OrderedDict[str, Value] = OrderedDict()
        self._elements = 0
        self._characters = 0
        self._root_seen = False
        # The text is UTF-8 by the time it gets here, whatever its own declaration says.
        parser = self._expat = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.ProcessingInstructionHandler = self._instruction
        parser.ExternalEntityRefHandler = self._external
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data

    def feed(self, piece: str, *, final: bool) -> None:
        try:
            self._expat.Parse(piece.encode("utf-8", "surrogatepass"), final)
        except expat.ExpatError as error:
            cut_off = final and error.code in _UNCLOSED
            reason = "the file ends before the last element is closed" if cut_off else expat.ErrorString(error.code)
            raise ExportRefused("export-cut-off" if cut_off else "export-clixml", reason, error.lineno) from None

    def take(self) -> list[Record]:
        records, self._records = self._records, []
        return records

    # What PowerShell never writes.

    def _doctype(self, *_: object) -> None:
        raise ExportRefused("export-xml", "found a document type declaration", self._line)

    def _entity(self, *_: object) -> None:
        raise ExportRefused("export-xml", "found an entity declaration", self._line)

    def _external(self, *_: object) -> int:
        raise ExportRefused("export-xml", "found a reference to an external entity", self._line)

    def _instruction(self, *_: object) -> None:
        raise ExportRefused("export-xml", "found a processing instruction", self._line)

    @property
    def _line(self) -> int:
        return self._expat.CurrentLineNumber

    # Elements.

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._stack) >= DEEPEST:
            raise ExportRefused("export-too-large", f"found more than {DEEPEST} levels of elements", self._line)
        if self._elements > MOST_ELEMENTS:
            raise ExportRefused(
                "export-too-large", f"found more than {MOST_ELEMENTS} elements in one object", self._line
            )
        if not self._stack:
            if tag != "Objs" or attributes.get("xmlns", NAMESPACE) != NAMESPACE:
                raise ExportRefused(
                    "export-clixml", f"found the root element <{tag[:60]}>, expected <Objs>", self._line
                )
            self._root_seen = True
        name = self._unescaped(attributes.get("N", ""))
        self._stack.append(_Open(tag, name, attributes.get("RefId", ""), self._line))

    def _data(self, text: str) -> None:
        top = self._stack[-1]
        if top.tag in _LISTS or top.tag in ("Objs", "Obj", "Props", "MS", "DCT", "En", "TN"):
            if text.strip():
                raise ExportRefused("export-clixml", f"found text within <{top.tag}>", self._line)
            return
        self._characters += len(text)
        if self._characters > LONGEST_TEXT:
            raise ExportRefused("export-too-large", "found too much text in one object", self._line)
        top.text.append(text)

    def _end(self, tag: str) -> None:
        closed = self._stack.pop()
        if not self._stack:
            return
        parent = self._stack[-1]
        if tag in _CONTAINERS:
            self._structure(closed, parent)
            return
        value = self._value(closed)
        if tag == "Obj" and closed.reference:
            self._remember(closed.reference, value)
        if len(self._stack) == 1:
            self._top(closed, value)
        else:
            self._put(parent, closed.name, value)

    def _structure(self, closed: _Open, parent: _Open) -> None:
        tag = closed.tag
        if tag == "T":
            parent.types = (*parent.types, "".join(closed.text))
        elif tag == "TN":
            self._types[closed.reference] = closed.types
            parent.types = closed.types
        elif tag == "TNRef":
            parent.types = self._types.get(closed.reference, ())
        elif tag == "ToString":
            parent.string = self._unescaped("".join(closed.text))
        elif tag in _MEMBERS:
            parent.members = {**(parent.members or {}), **(closed.members or {})}
        elif tag in _LISTS:
            parent.items = closed.items or []
        elif tag == "DCT":
            parent.entries = closed.entries or {}
        elif tag == "En":
            members = closed.members or {}
            key = members.get("Key")
            if parent.entries is None:
                parent.entries = {}
            if isinstance(key, str):
                parent.entries[key] = members.get("Value")

    def _put(self, parent: _Open, name: str, value: Value) -> None:
        if parent.tag in _MEMBERS or parent.tag == "En":
            if parent.members is None:
                parent.members = {}
            parent.members[name] = value
        elif parent.tag in _LISTS:
            if parent.items is None:
                parent.items = []
            parent.items.append(value)
        elif parent.tag == "Obj":
            # The value of a boxed primitive, an enumeration's number, or what a type adds beside its members.
            if parent.value is _NOTHING:
                parent.value = value
        else:
            raise ExportRefused("export-clixml", f"found a value within <{parent.tag[:60]}>", self._line)

    def _value(self, closed: _Open) -> Value:
        tag, text = closed.tag, "".join(closed.text)
        if tag == "Obj":
            return self._object(closed)
        if tag == "Nil":
            return None
        if tag == "Ref":
            return self._objects.get(closed.reference, Shortened("a reference"))
        try:
            if tag == "B":
                return {"true": True, "false": False}[text.strip().lower()]
            if tag in _WHOLE:
                return int(text)
            if tag in _FRACTION:
                return float(text)
        except (KeyError, ValueError):
            raise ExportRefused("export-clixml", f"found {text[:40]!r} in <{tag}>", closed.line) from None
        if tag in _TEXT:
            return self._unescaped(text)
        raise ExportRefused("export-clixml", f"found the element <{tag[:60]}>, which is not CLIXML", closed.line)

    def _object(self, closed: _Open) -> Value:
        if any(name.endswith("System.Enum") for name in closed.types):
            number = closed.value if isinstance(closed.value, int) and not isinstance(closed.value, bool) else None
            return Enumerated(closed.string or "", number)
        if closed.items is not None:
            return closed.items
        if closed.entries is not None:
            return closed.entries
        if not isinstance(closed.value, _Nothing) and not closed.members:
            return closed.value
        if closed.members is not None and (closed.members or closed.string is None):
            return closed.members
        return closed.string if closed.string is not None else Shortened("an object without properties")

    def _top(self, closed: _Open, value: Value) -> None:
        self._elements = self._characters = 0
        if closed.tag == "Nil":
            return
        if isinstance(value, list):
            # The whole array was given to -InputObject instead of the pipeline.
            for each in value:
                if not isinstance(each, dict):
                    raise ExportRefused("export-clixml", "found a list of something other than objects", closed.line)
                self._records.append(Record.of(self._file, closed.line, (), each))
            return
        if not isinstance(value, dict):
            raise ExportRefused("export-clixml", "found a value, expected an object", closed.line)
        self._records.append(Record.of(self._file, closed.line, closed.types, value))

    def _remember(self, reference: str, value: Value) -> None:
        self._objects[reference] = value
        self._objects.move_to_end(reference)
        if len(self._objects) > _REMEMBERED:
            self._objects.popitem(last=False)

    def _unescaped(self, text: str) -> str:
        try:
            return unescape(text)
        except UnicodeDecodeError:
            raise ExportRefused("export-clixml", "found half a character (a lone surrogate)", self._line) from None
