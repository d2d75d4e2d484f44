"""A document as YAML for people: comments beside values, gaps that `xmppgw check` refuses by name, stable order.

Called by `document`. Writes no anchors, tags or flow beyond short lists, and quotes whatever YAML 1.1 might take for
something other than the text it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: No key of a federation document accepts it: it is no name, address, number or choice.
FILL_IN: Final = "FILL IN"


@dataclass(frozen=True, slots=True)
class Gap:
    """A value that no export can tell. `wanted` says what belongs there."""

    wanted: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A value with a remark."""

    value: Node
    remark: str


Scalar: TypeAlias = "str | int | bool"
Node: TypeAlias = "Scalar | Gap | Noted | Mapping[str, Node] | Sequence[Node]"

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_NOT_TEXT: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def lines_of(node: Mapping[str, Node], indent: int = 0) -> Iterator[str]:
    """The mapping as lines without their ends."""
    for key, value in node.items():
        yield from _entry(f"{'  ' * indent}{key}:", value, indent)


def _entry(head: str, value: Node, indent: int) -> Iterator[str]:
    if isinstance(value, Noted):
        yield f"{'  ' * indent}# {remark(value.remark)}"
        value = value.value
        if isinstance(value, Noted):
            raise TypeError("one remark a value")
    if isinstance(value, Gap):
        yield f'{head} "{FILL_IN}"  # {remark(value.wanted)}'
    elif isinstance(value, Mapping):
        if not value:
            yield f"{head} {{}}"
            return
        yield head
        yield from lines_of(value, indent + 1)
    elif isinstance(value, str | bool | int):
        yield f"{head} {scalar(value)}"
    elif not value:
        yield f"{head} []"
    else:
        yield head
        for item in value:
            yield from _item(item, indent + 1)


def _item(item: Node, indent: int) -> Iterator[str]:
    space = "  " * indent
    if isinstance(item, Noted):
        yield f"{space}# {remark(item.remark)}"
        item = item.value
    if isinstance(item, Mapping) and item:
        # The first line of the mapping carries the dash; a remark above its first key stays above the dash.
        dashed = False
        for line in lines_of(item, indent + 1):
            if dashed or line.lstrip().startswith("#"):
                yield line
            else:
                yield f"{space}- {line.lstrip()}"
                dashed = True
    else:
        yield from _entry(f"{space}-", item, indent)


def remark(text: str) -> str:
    """The text as a comment: one line, nothing that ends it."""
    return "".join(character if character.isprintable() else " " for character in text)[:300]


def scalar(value: Scalar) -> str:
    """The value as YAML 1.1 reads it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.casefold() not in _NOT_TEXT:
        return value
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
