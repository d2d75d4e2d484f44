"""JSON of any length, item by item: the objects of one array, whatever the layout, with bounded memory.

Used for the users' table and for exports of `ConvertTo-Json`, both of which may hold hundreds of thousands of objects.
Nothing but one item and one piece of the text is ever in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final, TypeVar

Row = TypeVar("Row")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

#: Characters of one item. A user of the platform with every property that PowerShell prints takes about 12,000.
LONGEST_ITEM: Final = 1_048_576
#: Characters taken from the source at once.
_PIECE: Final = 262_144
#: Nesting of one item; `ConvertTo-Json -Depth` goes to 100.
DEEPEST: Final = 100
_BLANKS: Final = " \t\r\n"


class StreamedJsonError(ValueError):
    """The text is not JSON, or larger than the bounds. `line` counts from 1."""

    def __init__(self, reason: str, line: int, *, cut_off: bool = False) -> None:
        super().__init__(reason)
        self.line = line
        self.cut_off = cut_off


class JsonText:
    """A cursor in a JSON text of which only a window is in memory. `read(n)` returns at most n characters."""

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read = read
        self._text = ""
        self._at = 0
        self._ended = False
        # Line of the place up to which line ends were counted, and that place.
        self._line = 1
        self._counted = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)

    @property
    def line(self) -> int:
        """Where the cursor stands."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANKS:
                    return self._text[self._at]
                self._at += 1
            if not self._fill():
                return ""

    def expect(self, character: str) -> None:
        """Pass over `character`. Raises StreamedJsonError if something else stands there."""
        found = self.peek()
        if found != character:
            self._wrong(f"found {found!r}, expected {character!r}" if found else f"the text ends before {character!r}")
        self._at += 1

    def value(self) -> Json:
        """The next value, whole. Raises StreamedJsonError."""
        if not self.peek():
            self._wrong("the text ends where a value is expected")
        while len(self._text) - self._at < LONGEST_ITEM and self._fill():
            pass
        try:
            value, end = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            if not self._ended:
                raise StreamedJsonError(f"one item is longer than {LONGEST_ITEM} characters", self.line) from None
            line = self.line + self._text.count("\n", self._at, error.pos)
            # What is cut off is an error at, or because of, the end.
            cut_off = self._ended and (error.pos >= len(self._text.rstrip()) or error.msg.startswith("Unterminated"))
            raise StreamedJsonError(error.msg.lower(), line, cut_off=cut_off) from None
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise StreamedJsonError(reason, self.line) from None
        if end - self._at > LONGEST_ITEM:
            raise StreamedJsonError(f"one item is longer than {LONGEST_ITEM} characters", self.line)
        # Most items have fewer brackets than levels are allowed: nothing to walk through then.
        brackets = self._text.count("[", self._at, end) + self._text.count("{", self._at, end)
        if brackets > DEEPEST and _deeper(value, DEEPEST):
            raise StreamedJsonError(f"nested more than {DEEPEST} levels deep", self.line)
        self._at = end
        result: Json = value
        return result

    def items(self) -> Iterator[tuple[int, Json]]:
        """Line and value of every item of the array that begins here. Raises StreamedJsonError."""
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            self.peek()
            yield self.line, self.value()
            if self.peek() == "]":
                self._at += 1
                return
            self.expect(",")

    def rows(
        self, many: Callable[[str], Sequence[Row] | None], one: Callable[[Json, int], Row]
    ) -> Iterator[tuple[int, Row]]:
        """Line and row of every item of the array that begins here; `one` makes a row of a value and its line.

        `many` is offered the text of many lines at once, each one flat object and a comma, which is how we write
        tables ourselves: ten times as fast. It makes all their rows, or None where it has any doubt; from there on each
        item is looked at by itself, and what is wrong is found by its line. Raises StreamedJsonError.
        """
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        quick = True
        while True:
            if quick:
                line, rows = self._many(many)
                quick = rows is not None
                if rows:
                    yield from zip(count(line), rows, strict=False)
                    continue
            self.peek()
            line = self.line
            yield line, one(self.value(), line)
            if self.peek() == "]":
                self._at += 1
                return
            self.expect(",")

    def _many(self, many: Callable[[str], Sequence[Row] | None]) -> tuple[int, Sequence[Row] | None]:
        """Line of the cursor, and the rows of as many lines as are at hand; none at the last item."""
        self.peek()
        while len(self._text) - self._at < _PIECE and self._fill():
            pass
        line, end = self.line, self._text.rfind("},\n", self._at) + len("},\n")
        block = self._text[self._at : end] if end > self._at + len("},\n") else ""
        if not block:
            return line, ()
        number = block.count("\n")
        flat = block.startswith("{") and number == block.count("{") == block.count("}") == block.count("},\n{") + 1
        if not flat or any(sign in block for sign in "[]\\\t\r"):
            return line, None
        rows = many(block)
        if rows is not None:
            self._at = end
        return line, rows

    def members(self) -> Iterator[str]:
        """Every key of the object that begins here; the caller takes each key's value. Raises StreamedJsonError."""
        self.expect("{")
        if self.peek() == "}":
            self._at += 1
            return
        seen: set[str] = set()
        while True:
            key = self.value() if self.peek() == '"' else None
            if not isinstance(key, str) or key in seen:
                self._wrong(f"found the key {key!r:.60} twice" if isinstance(key, str) else "found no key")
            assert isinstance(key, str)
            seen.add(key)
            self.expect(":")
            yield key
            if self.peek() == "}":
                self._at += 1
                return
            self.expect(",")

    def end(self) -> None:
        """Require that nothing follows. Raises StreamedJsonError."""
        if self.peek():
            self._wrong(f"found {self.peek()!r} after the end")

    def _fill(self) -> bool:
        if self._ended:
            return False
        piece = self._read(_PIECE)
        if not piece:
            self._ended = True
            return False
        if self._at >= _PIECE:
            self._line = self.line
            self._text = self._text[self._at :]
            self._at = self._counted = 0
        self._text += piece
        return True

    def _wrong(self, reason: str) -> None:
        raise StreamedJsonError(reason, self.line, cut_off=not self.peek())


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("one object has the same key twice")
    return made


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _deeper(value: object, levels: int) -> bool:
    """Whether lists and objects nest more than `levels` deep; the decoder itself bounds how deep this can go."""
    if isinstance(value, dict):
        return levels == 0 or any(_deeper(each, levels - 1) for each in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper(each, levels - 1) for each in value)
    return False
