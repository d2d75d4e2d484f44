"""What a rule across fields is, and what it may find. The modules of rules build on it; validation runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xmppgw.federation.model import Federation

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found. `path` is below `federation`; `reads` are further paths that it rests on."""

    code: str
    path: Path
    message: str
    hint: str = ""
    reads: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule and the sections of the document that it needs whole."""

    sections: frozenset[str]
    check: Callable[[Federation], Iterator[Finding]]


def rule(check: Callable[[Federation], Iterator[Finding]], *sections: str) -> Rule:
    """A rule and the sections that it reads."""
    return Rule(frozenset(sections), check)
