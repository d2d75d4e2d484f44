"""From bytes to plain data that remembers its lines.

The loader calls `compose` with the bytes of a document. A composer of our own on PyYAML's event stream, because the
ready ones keep the last of two equal keys, expand aliases without a bound, and forget where a value stood. It never
opens a file. The same file is read by Ansible, so values mean here what they mean there (YAML 1.1), and what would mean
something else in one of the two (a template, a tag) is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import yaml

# 10,000 partners with additional domains and comments take about 2 MiB; four times that is not a document any more.
MAXIMUM_BYTES: Final = 8 * 1024 * 1024
# Ten thousand partners are some 250,000 nodes. Counted as expanded: an alias counts as often as what it repeats.
MAXIMUM_NODES: Final = 1_000_000
# The same bound for long texts that are repeated by alias.
MAXIMUM_CHARACTERS: Final = 4 * MAXIMUM_BYTES
# The model is five levels deep.
MAXIMUM_DEPTH: Final = 32
# A file that is wrong from top to bottom is not made clearer by its 100,001st problem.
MAXIMUM_SYNTAX_PROBLEMS: Final = 1_000

Scalar: TypeAlias = "str | int | float | bool | None"
Value: TypeAlias = "Scalar | Mapping | Sequence"


class Place(NamedTuple):
    """Where a value stands, and how it was written (which differs from its value in `yes`, `0x10`, `1:30`)."""

    line: int
    written: str


class Mapping(dict[str, "Value"]):
    """A YAML mapping; `places` says where each key stands."""

    __slots__ = ("line", "places")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.places: dict[str, Place] = {}


class Sequence(list["Value"]):
    """A YAML sequence; `places` says where each item stands, `positions` which item of the file it was."""

    __slots__ = ("line", "places", "positions")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.places: list[Place] = []
        self.positions: list[int] = []


class Flaw(NamedTuple):
    """A problem of the text, before it has a file name."""

    code: str
    line: int
    path: tuple[str | int, ...]
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Composition:
    """What came out: the root mapping if there is one, and all flaws that were met on the way."""

    root: Mapping | None
    flaws: tuple[Flaw, ...]


class _Stop(Exception):  # noqa: N818 - not an error: the text cannot be read any further
    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw


def compose(data: bytes) -> Composition:
    """Turn the bytes of a document into mappings, sequences and scalars; never raises on bad input."""
    try:
        composer = _Composer(_decode(data))
    except _Stop as stop:
        return Composition(None, (stop.flaw,))
    try:
        root = composer.compose()
    except _Stop as stop:
        return Composition(None, (*composer.flaws, stop.flaw))
    return Composition(root, tuple(composer.flaws))


def _decode(data: bytes) -> str:
    if len(data) > MAXIMUM_BYTES:
        raise _Stop(Flaw("file-too-large", 0, (), f"found more than {MAXIMUM_BYTES} bytes, expected at most that many"))
    for mark, name in (
        (codecs.BOM_UTF8, "UTF-8 with a byte order mark"),
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF32_BE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if data.startswith(mark):
            raise _Stop(Flaw("file-encoding", 1, (), f"found {name}, expected UTF-8 without a byte order mark"))
    if b"\x00" in data[:4096]:
        raise _Stop(Flaw("file-encoding", 1, (), "found NUL bytes (UTF-16, or not a text at all), expected UTF-8"))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"found byte 0x{data[error.start]:02x} at offset {error.start}, which is not UTF-8"
        raise _Stop(Flaw("file-encoding", line, (), found)) from None


NOWHERE: Final = Place(0, "")


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not been read yet."""

    node: Mapping | Sequence
    anchor: str | None
    path: tuple[str | int, ...]
    place: Place
    key: str | None = None  # of a mapping: the key that waits for its value
    key_place: Place = NOWHERE
    key_usable: bool = True
    awaits_value: bool = False
    nodes: int = 1
    characters: int = 0
    merged: list[Mapping] = field(default_factory=list)


_MERGE = "<<"
# YAML 1.1 has integers of any length, also in base 60, which cost quadratic time; ours are ports and seconds.
_LONGEST_NUMBER: Final = 64


class _Composer:
    """Builds the tree with a stack of its own, so that no depth of nesting can exhaust Python's."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.flaws: list[Flaw] = []
        self.anchors: dict[str, tuple[Value, int, int, str] | None] = {}
        self.stack: list[_Open] = []
        self.root: Value = None
        self.nodes = 0
        self.characters = 0
        # One resolver and one constructor for all scalars: they hold YAML 1.1's tables, and read nothing.
        self.resolver = yaml.resolver.Resolver()
        constructor = yaml.constructor.SafeConstructor()
        self.construct: dict[str, Callable[[yaml.ScalarNode], Scalar]] = {
            "tag:yaml.org,2002:null": constructor.construct_yaml_null,
            "tag:yaml.org,2002:bool": constructor.construct_yaml_bool,
            "tag:yaml.org,2002:int": constructor.construct_yaml_int,
            "tag:yaml.org,2002:float": constructor.construct_yaml_float,
        }

    def compose(self) -> Mapping | None:
        documents = 0
        for event in self._events():
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._start(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    line = _line(event)
                    self._flaw(Flaw("yaml-documents", line, (), "found a second document, expected one"))
                    break
        if not isinstance(self.root, Mapping):
            if not any(flaw.code.startswith("yaml") for flaw in self.flaws):
                found = (
                    "a list"
                    if isinstance(self.root, Sequence)
                    else "a single value"
                    if self.root is not None
                    else "nothing"
                )
                self._flaw(
                    Flaw("yaml-not-mapping", 1, (), f"found {found}, expected a mapping with the key `federation`")
                )
            return None
        return self.root

    def _events(self) -> Iterator[yaml.Event]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(self.text, Loader=loader)
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            character = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
            found = f"found the control character U+{character:04X}, which YAML does not allow"
            raise _Stop(Flaw("yaml-syntax", line, (), found)) from None
        except yaml.MarkedYAMLError as error:
            raise _Stop(self._syntax(error)) from None
        except yaml.YAMLError as error:
            raise _Stop(Flaw("yaml-syntax", 0, (), str(error).splitlines()[0])) from None

    def _syntax(self, error: yaml.MarkedYAMLError) -> Flaw:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        lines = self.text.split("\n")
        written = lines[line - 1] if 0 < line <= len(lines) else ""
        if "\t" in written[: len(written) - len(written.lstrip())] or (
            mark and written[mark.column : mark.column + 1] == "\t"
        ):
            return Flaw("yaml-tab", line, (), "found a tab, expected spaces")
        reason = " ".join(part for part in (error.context, error.problem) if part)
        shown = f" in `{shorten(written.strip())}`" if written.strip() else ""
        return Flaw("yaml-syntax", line, (), f"{reason or 'not YAML'}{shown}")

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        line = _line(event)
        if len(self.stack) >= MAXIMUM_DEPTH:
            raise _Stop(Flaw("yaml-too-complex", line, (), f"found more than {MAXIMUM_DEPTH} levels of nesting"))
        self._count(1, 0, line)
        node: Mapping | Sequence = Mapping(line) if isinstance(event, yaml.MappingStartEvent) else Sequence(line)
        path = self._path_of_next()
        if event.tag is not None and event.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!"):
            self._flaw(Flaw("yaml-tag", line, path, f"found the tag {event.tag}, expected none"))
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Open(node, event.anchor, path, Place(line, "")))

    def _end(self) -> None:
        closed = self.stack.pop()
        node = closed.node
        if isinstance(node, Mapping):
            for source in closed.merged:
                for key, value in source.items():
                    if key not in node:
                        node[key] = value
                        node.places[key] = source.places[key]
        if closed.anchor:
            self.anchors[closed.anchor] = (node, closed.nodes, closed.characters, "")
        self._add(node, closed.place, closed.nodes, closed.characters)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line = _line(event)
        written: str = event.value
        self._count(1, len(written), line)
        value: Scalar = self._construct(event, written, line)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, len(written), written)
        self._add(value, Place(line, written), 1, len(written))

    def _construct(self, event: yaml.ScalarEvent, written: str, line: int) -> Scalar:
        if event.tag is None or event.tag == "!":
            if event.implicit[0]:
                if written == _MERGE and self._at_key():
                    return _MERGE
                tag = str(self.resolver.resolve(yaml.ScalarNode, written, (True, False)))  # type: ignore[no-untyped-call]
            else:
                tag = "tag:yaml.org,2002:str"
        else:
            tag = event.tag
        if "{{" in written or "{%" in written:
            self._flaw(
                Flaw("template", line, self._path_of_next(), f"found `{shorten(written)}`, expected the value itself")
            )
        if tag == "tag:yaml.org,2002:str" or (event.tag is None and len(written) > _LONGEST_NUMBER):
            return written
        construct = self.construct.get(tag)
        if construct is None or len(written) > _LONGEST_NUMBER:
            name = tag.rpartition(":")[2] if tag.startswith("tag:yaml.org") else tag
            found = f"found `{shorten(written)}`, which YAML reads as {name}; expected a text, a number, true or false"
            self._flaw(Flaw("yaml-tag", line, self._path_of_next(), found, "put it in quotes if it is a text"))
            return written
        try:
            return construct(yaml.ScalarNode(tag, written))
        except (ValueError, KeyError, IndexError, OverflowError, yaml.YAMLError):
            found = f"found `{shorten(written)}`, which is not what its tag {tag.rpartition(':')[2]} says"
            self._flaw(Flaw("yaml-tag", line, self._path_of_next(), found))
            return written

    def _alias(self, event: yaml.AliasEvent) -> None:
        line = _line(event)
        known = self.anchors.get(event.anchor or "")
        if known is None:
            reason = "an anchor that contains it" if event.anchor in self.anchors else "an anchor that does not exist"
            self._flaw(Flaw("yaml-alias", line, self._path_of_next(), f"found *{event.anchor}, which names {reason}"))
            self._add(None, Place(line, ""), 1, 0)
            return
        value, nodes, characters, written = known
        self._count(nodes, characters, line)
        self._add(value, Place(line, written), nodes, characters)

    def _count(self, nodes: int, characters: int, line: int) -> None:
        self.nodes += nodes
        self.characters += characters
        if self.nodes > MAXIMUM_NODES:
            raise _Stop(
                Flaw(
                    "yaml-too-complex",
                    line,
                    (),
                    f"found more than {MAXIMUM_NODES} values, counting what aliases repeat",
                )
            )
        if self.characters > MAXIMUM_CHARACTERS:
            found = f"found more than {MAXIMUM_CHARACTERS} characters, counting what aliases repeat"
            raise _Stop(Flaw("yaml-too-complex", line, (), found))

    def _at_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node, Mapping) and not self.stack[-1].awaits_value

    def _path_of_next(self) -> tuple[str | int, ...]:
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.node, Sequence):
            return (*top.path, len(top.node))
        return (*top.path, top.key) if top.awaits_value and top.key is not None else top.path

    def _add(self, value: Value, place: Place, nodes: int, characters: int) -> None:
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        top.nodes += nodes
        top.characters += characters
        if isinstance(top.node, Sequence):
            top.node.positions.append(len(top.node))
            top.node.append(value)
            top.node.places.append(place)
        elif top.awaits_value:
            top.awaits_value = False
            self._add_pair(top, value, place.written)
        else:
            top.awaits_value = True
            top.key, top.key_place, top.key_usable = None, place, True
            if isinstance(value, str):
                top.key = value
            else:
                top.key_usable = False
                found = (
                    f"found `{shorten(place.written)}` as a key, expected a word"
                    if place.written
                    else "found a list or mapping as a key"
                )
                self._flaw(Flaw("yaml-key", place.line, top.path, found))

    def _add_pair(self, top: _Open, value: Value, written: str) -> None:
        node, key = top.node, top.key
        assert isinstance(node, Mapping)
        if not top.key_usable or key is None:
            return
        if key == _MERGE:
            sources = value if isinstance(value, Sequence) else [value]
            for source in sources:
                if isinstance(source, Mapping):
                    top.merged.append(source)
                else:
                    self._flaw(
                        Flaw(
                            "yaml-key", top.key_place.line, top.path, "found `<<` with something that is not a mapping"
                        )
                    )
            return
        if key in node:
            first = node.places[key].line
            found = f"found `{shorten(key)}` a second time; the first is in line {first}"
            self._flaw(Flaw("yaml-duplicate-key", top.key_place.line, (*top.path, key), found))
            return
        node[key] = value
        node.places[key] = Place(top.key_place.line, written)

    def _flaw(self, flaw: Flaw) -> None:
        if len(self.flaws) >= MAXIMUM_SYNTAX_PROBLEMS:
            raise _Stop(flaw)
        self.flaws.append(flaw)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def shorten(text: str, limit: int = 60) -> str:
    """The text on one line, cut to `limit` characters, for use in a message."""
    text = "".join(character if character.isprintable() else " " for character in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"
