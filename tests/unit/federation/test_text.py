"""What is not a YAML document of the expected kind is ordinary bad input: one clear problem, never an exception."""

from __future__ import annotations

import codecs
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.unit.federation.documents import SMALL, changed, examine, line_of, only, problems
from yaml.constructor import SafeConstructor

from xmppgw.federation import DocumentProblems, examine_document, load_document
from xmppgw.federation.composition import MAXIMUM_BYTES, MAXIMUM_DEPTH, MAXIMUM_NODES


def test_the_small_document_is_fine() -> None:
    examination = examine(SMALL)
    assert examination.problems == ()
    assert examination.document is not None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (codecs.BOM_UTF8 + SMALL.encode(), "file-encoding"),
        (SMALL.encode("utf-16"), "file-encoding"),
        (SMALL.encode("utf-16-le"), "file-encoding"),
        (SMALL.encode("utf-32"), "file-encoding"),
        (b"federation: \xff\n", "file-encoding"),
        (b"a: \xc3\x28\n", "file-encoding"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "file-encoding"),
        (b"", "yaml-not-mapping"),
        (b"# nothing but a comment\n", "yaml-not-mapping"),
        (b"- a\n- b\n", "yaml-not-mapping"),
        (b"just words\n", "yaml-not-mapping"),
        (b"---\n...\n", "yaml-not-mapping"),
        (b"federation:\n\tversion: 1\n", "yaml-tab"),
        (b"federation:\n  version: 1\n\tscenario: replace\n", "yaml-tab"),
        (b"federation: [1, 2\n", "yaml-syntax"),
        (b"federation: {a: b\nc: }}\n", "yaml-syntax"),
        (b"federation: 'never closed\n", "yaml-syntax"),
        (b"federation: @home\n", "yaml-syntax"),
        (b"federation:\n  a: 1\n b: 2\n", "yaml-syntax"),
        (b"federation: \x07\n", "yaml-syntax"),
        (b"%YAML 3.0\n---\na: b\n", "yaml-syntax"),
        (b"a: *nowhere\n", "yaml-alias"),
        (b"[" * 100_000, "yaml-too-complex"),
        (b"a: " * 3 + b"{" * 5000, "yaml-syntax"),
        (b"x" * (MAXIMUM_BYTES + 1), "file-too-large"),
    ],
)
def test_text_that_is_not_a_document(data: bytes, code: str) -> None:
    examination = examine(data)
    assert examination.document is None
    assert code in [problem.code for problem in examination.problems], [
        str(problem) for problem in examination.problems
    ]


def test_a_syntax_error_names_its_line() -> None:
    text = SMALL + "\n  oops: ]\n"
    problem = only(text)
    assert problem.code == "yaml-syntax"
    assert problem.line == line_of(text, "oops")


def test_a_tab_names_its_line() -> None:
    problem = only(changed(("  scenario: replace", "\tscenario: replace")))
    assert (problem.code, problem.line) == ("yaml-tab", line_of(SMALL, "scenario: replace"))


def test_a_second_document_is_refused_and_both_starts_are_known() -> None:
    text = SMALL + "---\nfederation: {}\n"
    problem = only(text)
    assert (problem.code, problem.line) == ("yaml-documents", len(SMALL.splitlines()) + 1)


def test_a_duplicate_key_names_both_lines() -> None:
    text = changed(("  scenario: replace\n", "  scenario: replace\n  version: 1\n"))
    problem = only(text)
    assert problem.code == "yaml-duplicate-key"
    assert problem.path == "federation.version"
    assert problem.line == line_of(text, "scenario") + 1
    assert f"line {line_of(text, 'version: 1')}" in problem.message


def test_duplicate_keys_are_found_everywhere_in_one_run() -> None:
    text = changed(
        ("  scenario: replace\n", "  scenario: replace\n  scenario: coexist\n"),
        ("port: 5061, platform: other}", "port: 5061, port: 5062, platform: other}"),
        ("ttl: {normal: 15, migration: 3}", "ttl: {normal: 15, migration: 3, normal: 16}"),
    )
    assert [problem.code for problem in problems(text)] == ["yaml-duplicate-key"] * 3


def laughs(levels: int, width: int) -> str:
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + f"\nfederation: *a{levels - 1}\n"


def test_a_billion_laughs_are_counted_and_not_made() -> None:
    problem = problems(laughs(12, 9))[-1]
    assert problem.code == "yaml-too-complex"
    assert str(MAXIMUM_NODES) in problem.message


def test_a_long_text_repeated_by_alias_is_counted() -> None:
    text = f"a: &a '{'x' * 1_000_000}'\nb: [{', '.join(['*a'] * 1000)}]\n"
    assert problems(text)[-1].code == "yaml-too-complex"


def test_an_alias_of_itself_is_refused() -> None:
    assert "yaml-alias" in [problem.code for problem in problems("federation: &loop\n  partners: *loop\n")]


def test_aliases_and_merge_keys_mean_what_ansible_takes_them_for() -> None:
    text = changed(
        (
            "    - {domain: partner1.example, type: federated, tls: required, sasl: required, dialback: false}\n",
            "    - &usual {domain: partner1.example, type: federated, tls: required, sasl: required, dialback: false}\n"
            "    - {<<: *usual, domain: partner3.example}\n",
        )
    )
    document = examine(text).require()
    third = next(partner for partner in document.federation.partners if partner.domain == "partner3.example")
    assert third.dialback is False
    assert third.type.value == "federated"


def test_depth_is_bounded() -> None:
    nested = "{a: " * (MAXIMUM_DEPTH + 1) + "1" + "}" * (MAXIMUM_DEPTH + 1)
    assert problems(f"federation: {nested}\n")[-1].code == "yaml-too-complex"


@pytest.mark.parametrize(
    "value", ["2026-11-21", "!!binary aGVsbG8=", "!!python/object/apply:os.system ['true']", "!vault abc", "!!set {a}"]
)
def test_tags_and_dates_are_refused(value: str) -> None:
    text = changed(("tls: required, sasl: required, dialback: false}", f"tls: required, description: {value}}}"))
    found = problems(text)
    assert "yaml-tag" in [problem.code for problem in found], [str(problem) for problem in found]
    assert found[0].line == line_of(text, "description")


def test_a_template_is_refused_because_only_ansible_would_expand_it() -> None:
    problem = only(changed(("scenario: replace", "scenario: '{{ wanted_scenario }}'")))
    assert (problem.code, problem.path) == ("template", "federation.scenario")


@pytest.mark.parametrize("key", ["1", "true", "null", "3.5", "[a]", "{a: b}", "? [a, b]\n "])
def test_keys_are_words(key: str) -> None:
    assert "yaml-key" in [problem.code for problem in problems(f"federation: {{}}\n{key}: x\n")]


def test_a_number_of_absurd_length_is_not_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What works it out takes a time that grows with the square of its length."""
    worked_out: list[int] = []

    def noting(usual: Callable[..., object]) -> Callable[..., object]:
        def work_out(constructor: SafeConstructor, node: yaml.ScalarNode) -> object:
            worked_out.append(len(node.value))
            return usual(constructor, node)

        return work_out

    for name in ("construct_yaml_int", "construct_yaml_float"):
        monkeypatch.setattr(SafeConstructor, name, noting(getattr(SafeConstructor, name)))
    for number in ("9" * 1_000_000, "1" + ":59" * 300_000, "0x" + "f" * 1_000_000, "1e" + "9" * 1_000_000):
        assert "wrong-type" in [problem.code for problem in problems(changed(("port: 5061", f"port: {number}")))]
    assert worked_out
    assert max(worked_out) < 100


def test_messages_cannot_carry_terminal_control_characters() -> None:
    text = changed(("scenario: replace", 'scenario: "\\e[2Jreplace\\r\\0"'))
    assert all(
        part.isprintable() for problem in problems(text) for part in (problem.message, problem.hint, problem.path)
    )


def test_a_control_character_in_an_unknown_key_does_not_reach_the_path() -> None:
    text = changed(("scenario: replace", '"\\e[2Jscenario": replace'))
    found = [problem for problem in problems(text) if problem.code == "unknown-key"]
    assert found
    assert all(problem.path.isprintable() for problem in found)


class TestFiles:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(DocumentProblems) as caught:
            load_document(tmp_path / "none.yml")
        problem = caught.value.problems[0]
        assert (problem.code, problem.line, problem.file) == ("file-missing", 0, str(tmp_path / "none.yml"))

    def test_a_directory(self, tmp_path: Path) -> None:
        assert examine_document(tmp_path).problems[0].code == "file-not-regular"

    def test_a_path_through_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert examine_document(tmp_path / "file" / "federation.yml").problems[0].code == "file-unreadable"

    def test_a_path_with_a_nul(self) -> None:
        assert examine_document("a\0b").problems[0].code == "file-unreadable"

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        assert examine_document(tmp_path / "loop").problems[0].code == "file-unreadable"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission(self, tmp_path: Path) -> None:
        path = tmp_path / "federation.yml"
        path.write_text(SMALL)
        path.chmod(0)
        assert examine_document(path).problems[0].code == "file-unreadable"

    def test_fifty_megabytes_are_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "huge.yml"
        with path.open("wb") as file:
            file.truncate(50 * 1024 * 1024)
        tracemalloc.start()
        try:
            assert examine_document(path).problems[0].code == "file-too-large"
            assert tracemalloc.get_traced_memory()[1] < 3 * MAXIMUM_BYTES
        finally:
            tracemalloc.stop()

    def test_an_endless_device_is_not_read_to_its_end(self) -> None:
        assert examine_document("/dev/zero").problems[0].code == "file-too-large"
