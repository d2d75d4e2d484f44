"""From plain data with lines to a typed document, or to the whole list of what is wrong with it.

The loader calls `examine_bytes`. What the model refuses is reported first; then the rules across fields run on whatever
part of the document is left when the refused values are taken out, so that a person sees everything in one run. Pure.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from xmppgw.federation.composition import NOWHERE, Flaw, Mapping, Place, Sequence, Value, compose, shorten
from xmppgw.federation.findings import Finding, Path
from xmppgw.federation.model import Document, Federation
from xmppgw.federation.problems import CODES, DocumentProblems, Problem, Severity
from xmppgw.federation.rules import RULES

ROOT: Final = "federation"
# A refused value can hide behind another at most as deep as the model goes.
_PRUNINGS: Final = 12


@dataclass(frozen=True, slots=True)
class Examination:
    """What reading a document came to. `document` is there unless a problem is an error."""

    document: Document | None
    problems: tuple[Problem, ...]

    def require(self) -> Document:
        """The document; raises DocumentProblems if it cannot be used."""
        if self.document is None:
            raise DocumentProblems(self.problems)
        return self.document

    @property
    def refused(self) -> bool:
        """Whether a guard refuses the document as it stands."""
        return any(problem.severity is Severity.REFUSED for problem in self.problems)


def examine_bytes(data: bytes, file: str) -> Examination:
    """Read a document from its bytes; `file` is only its name in problems. Never raises on bad input."""
    composition = compose(data)
    if composition.root is None:
        return Examination(None, tuple(problem_of_flaw(flaw, file) for flaw in composition.flaws))
    return _Validation(composition.root, file, composition.flaws).run()


def problem_of_flaw(flaw: Flaw, file: str) -> Problem:
    """A flaw of the text as a problem of a file."""
    code = CODES[flaw.code]
    hint = flaw.hint or code.remedy
    return Problem(flaw.code, code.severity, file, flaw.line, written_path(flaw.path), flaw.message, hint)


def written_path(path: Path) -> str:
    """A path as problems show it: `federation.partners[3].tls`."""
    text = ""
    for part in path:
        # A key that a document invents may be a megabyte of control characters.
        text += f"[{part}]" if isinstance(part, int) else f".{shorten(part)}" if text else shorten(part)
    return text


class _Validation:
    """One run over one document."""

    def __init__(self, root: Mapping, file: str, flaws: tuple[Flaw, ...]) -> None:
        self.root = root
        self.file = file
        self.problems = [problem_of_flaw(flaw, file) for flaw in flaws]
        # Paths whose value is not what was meant; nothing is concluded from them. A set, and one of their ancestors
        # too: a question about 10,000 partners must not walk 10,000 problems.
        self.broken: set[Path] = set()
        self.breached: set[Path] = set()
        for flaw in flaws:
            self._mark(flaw.path)

    def run(self) -> Examination:
        document: Document | None = None
        pruned: Value
        try:
            document = Document.model_validate_json(json.dumps(self.root), strict=True)
            partial, available = document.federation, frozenset(Federation.model_fields)
            pruned = self.root.get(ROOT)
        except ValidationError as error:
            self._report(error)
            partial, available, pruned = self._what_is_left()
        for rule in RULES:
            if rule.sections <= available:
                for finding in rule.check(partial):
                    self._report_finding(finding, pruned)
        self.problems.sort(key=lambda problem: (problem.line, problem.path, problem.code, problem.message))
        usable = not any(problem.severity is Severity.ERROR for problem in self.problems)
        return Examination(document if usable else None, tuple(self.problems))

    def _mark(self, path: Path) -> None:
        if path:
            self.broken.add(path)
            self.breached.update(path[:length] for length in range(1, len(path) + 1))

    def _rests_on_broken(self, path: Path) -> bool:
        return path in self.breached or any(path[:length] in self.broken for length in range(1, len(path)))

    def _report(self, error: ValidationError) -> None:
        for detail in error.errors(include_url=False):
            path: Path = detail["loc"]
            if path in self.broken:
                continue  # the composer, or another branch, has said it already
            if detail["type"] == "too_short" and _items(self.root, path) >= detail["ctx"]["min_length"]:
                continue  # the items are there; what is wrong with them has been said
            line, written = _locate(self.root, path)
            code, message, hint = _describe(detail, written)
            if code == "unknown-key" and (meant := _nearest_key(path)):
                hint = f"did you mean `{meant}`?"
                self._mark((*path[:-1], meant))
            self.problems.append(problem_of_flaw(Flaw(code, line, path, message, hint), self.file))
            self._mark(path)

    def _what_is_left(self) -> tuple[Federation, frozenset[str], Mapping]:
        """Each section of the root by itself, without what the model refuses in it."""
        found_root = self.root.get(ROOT)
        root = found_root if isinstance(found_root, Mapping) else Mapping(0)
        sections: dict[str, Any] = {}
        pruned = Mapping(0)
        for name, field in Federation.model_fields.items():
            if name not in root:
                if not field.is_required():
                    sections[name] = field.get_default()
                continue
            value = _copy(root[name])
            found = _validate_section(field, value)
            if found is not None:
                sections[name], pruned[name] = found, value
        return Federation.model_construct(None, **sections), frozenset(sections), pruned

    def _report_finding(self, finding: Finding, pruned: Value) -> None:
        rests = [(ROOT, *_original_path(pruned, read)) for read in finding.reads or (finding.path,)]
        if any(self._rests_on_broken(path) for path in rests):
            return
        path = (ROOT, *_original_path(pruned, finding.path))
        line, _ = _locate(self.root, path)
        flaw = Flaw(finding.code, line, path, finding.message, finding.hint)
        self.problems.append(problem_of_flaw(flaw, self.file))


def _validate_section(field: FieldInfo, value: Value) -> Any:  # noqa: ANN401 - a section of whatever type its field has
    """The section, after taking out of `value` (in place) what the model refuses; None where nothing is left."""
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for _ in range(_PRUNINGS):
        try:
            return adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            details = error.errors(include_url=False)
        # A missing key makes its mapping useless; any other refused value may leave a default behind. Deepest and last
        # first, so that the numbers of the items before it stay true.
        paths = {detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"] for detail in details}
        if () in paths:
            return None
        for path in sorted(paths, reverse=True):
            _take_out(value, path)
    return None


def _step(value: Value, part: str | int) -> tuple[Value, Place] | None:
    """The value below `value` at `part` and its place, if there is one."""
    if isinstance(value, Mapping) and isinstance(part, str) and part in value:
        return value[part], value.places.get(part, NOWHERE)
    if isinstance(value, Sequence) and isinstance(part, int) and part < len(value):
        return value[part], value.places[part] if value.places else NOWHERE
    return None


def _take_out(value: Value, path: Path) -> None:
    for part in path[:-1]:
        below = _step(value, part)
        if below is None:
            return
        value = below[0]
    last = path[-1]
    if isinstance(value, Mapping) and isinstance(last, str):
        value.pop(last, None)
    elif isinstance(value, Sequence) and isinstance(last, int) and last < len(value):
        del value[last], value.positions[last]


def _copy(value: Value) -> Value:
    if isinstance(value, Mapping):
        mapping = Mapping(value.line)
        mapping.update((key, _copy(item)) for key, item in value.items())
        return mapping
    if isinstance(value, Sequence):
        sequence = Sequence(value.line)
        sequence.extend(_copy(item) for item in value)
        sequence.positions = list(value.positions)
        return sequence
    return value


def _original_path(pruned: Value, path: Path) -> Path:
    """The path in the file of what stands at `path` in the pruned tree, whose sequences may lack items."""
    original: list[str | int] = []
    value: Value = pruned
    for part in path:
        below = _step(value, part)
        original.append(value.positions[part] if isinstance(value, Sequence) and isinstance(part, int) else part)
        value = below[0] if below else None
    return tuple(original)


def _items(root: Mapping, path: Path) -> int:
    """How many items the list at `path` has in the file."""
    value: Value = root
    for part in path:
        below = _step(value, part)
        value = below[0] if below else None
    return len(value) if isinstance(value, Sequence) else 0


def _locate(root: Mapping, path: Path) -> tuple[int, str]:
    """The line of what stands at `path`, or of the nearest thing around it, and how it is written."""
    value: Value = root
    line, written = root.line, "a mapping"
    for part in path:
        below = _step(value, part)
        if below is None:
            return line, ""
        value, (line, written) = below
    if isinstance(value, Mapping):
        return line, "a mapping"
    if isinstance(value, Sequence):
        return line, "a list"
    return line, f"`{shorten(written)}`" if written else "an empty text" if isinstance(value, str) else "nothing"


_EXPECTED: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "finite_number": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
}


def _describe(detail: ErrorDetails, written: str) -> tuple[str, str, str]:
    """Code, message and hint (empty: the code's own) of one refusal by the model."""
    kind, context = detail["type"], detail.get("ctx", {})
    key = str(detail["loc"][-1]) if detail["loc"] else ROOT
    quoted = (
        "put it in quotes" if not isinstance(detail["input"], str | list | dict) and detail["input"] is not None else ""
    )
    if kind == "missing":
        return "missing-key", f"found no key `{key}`, expected one", f"add `{key}`"
    if kind == "extra_forbidden":
        return "unknown-key", f"found the key `{shorten(key)}`, which does not exist here", ""
    if kind == "wrong_name":
        return "wrong-name", detail["msg"], ""
    if kind == "wrong_address":
        return "wrong-address", detail["msg"], ""
    if kind == "wrong_user":
        return "wrong-user", detail["msg"], ""
    if kind == "wrong_time":
        return "wrong-time", detail["msg"], ""
    if kind in _EXPECTED:
        return "wrong-type", f"found {written}, expected {_EXPECTED[kind]}", quoted if kind == "string_type" else ""
    if kind in ("enum", "literal_error"):
        hint = (
            quoted
            if isinstance(detail["input"], bool)
            else _nearest_value(detail["input"], str(context.get("expected", "")))
        )
        return "wrong-value", f"found {written}, expected {context.get('expected', '')}", hint
    if kind == "too_short":
        return "wrong-value", f"found {context['actual_length']} items, expected at least {context['min_length']}", ""
    if kind == "too_long":
        return "wrong-value", f"found too many items, expected at most {context['max_length']}", ""
    if kind == "string_pattern_mismatch":
        return "wrong-value", f"found {written}, expected a text of the form {context['pattern']}", ""
    return "wrong-value", f"found {written}: {detail['msg'][:1].lower()}{detail['msg'][1:]}", ""


def _nearest_value(found: object, expected: str) -> str:
    values = [value.strip("'\" ") for value in expected.replace(" or ", ", ").split(", ")]
    nearest = difflib.get_close_matches(found.lower().replace("-", "_"), values, 1) if isinstance(found, str) else []
    return f"did you mean `{nearest[0]}`?" if nearest else ""


def _nearest_key(path: Path) -> str:
    """The existing key that an unknown one was probably meant to be, or an empty text."""
    keys = _keys_at(path[:-1])
    nearest = difflib.get_close_matches(str(path[-1])[:100].lower().replace("-", "_"), keys, 1, cutoff=0.6)
    return nearest[0] if nearest else ""


def _keys_at(path: Path) -> list[str]:
    """The keys that the model knows in the mapping at `path`."""
    kind: Any = Document
    for part in path:
        if isinstance(part, str):
            fields = kind.model_fields if _is_model(kind) else {}
            matching = [field for name, field in fields.items() if (field.alias or name) == part]
            kind = _model_within(matching[0].annotation) if matching else None
    return [field.alias or name for name, field in kind.model_fields.items()] if _is_model(kind) else []


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _model_within(annotation: object) -> object:
    """The model inside `X`, `X | None` or `tuple[X, ...]`."""
    if _is_model(annotation):
        return annotation
    return next((found for inner in get_args(annotation) if _is_model(found := _model_within(inner))), None)
