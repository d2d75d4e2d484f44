"""Whatever stands in the document, it is one value in the script and one text in the prose, or it is refused."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.runbook.powershell import LexerError, Token, tokens

from xmppgw.runbook import quoting

HOSTILE = "'\u2018\u2019\u201a\u201b\"\u201c\u201d\u201e`$(){};|&#@<>\\ \t\r\n\0\u2028\u2029\u202e\u200b\ufeff"
texts = st.one_of(st.text(), st.text(st.sampled_from(HOSTILE + "ab-")), st.from_regex(r"'+;[a-z ]+#", fullmatch=True))


def refused(value: str) -> bool:
    return any(unicodedata.category(character)[0] == "C" or character in "\u2028\u2029" for character in value)


@given(texts)
@example("'; Remove-CsUser -Identity x; '")
@example("\u2019; Remove-CsUser -Identity x; \u2018")
@example("\u2018\u2019")
@example("@'\n'@")
@example('$(Get-Date) `$x "quoted"')
@example("a\nRemove-CsUser")
@example("")
def test_a_literal_is_one_string_with_the_same_value(value: str) -> None:
    if refused(value):
        with pytest.raises(quoting.QuotingProblem):
            quoting.literal(value)
        return
    script = f"$x = {quoting.literal(value)}\r\n$y = {quoting.literal('end')}"
    assert tokens(script) == [
        Token("code", "$x = "),
        Token("string", value),
        Token("code", "\r\n$y = "),
        Token("string", "end"),
    ]


@given(st.lists(texts.filter(lambda value: not refused(value)), max_size=5))
def test_an_array_has_each_value_once(values: list[str]) -> None:
    found = [token.value for token in tokens(f"$x = {quoting.literals(values)};") if token.kind == "string"]
    assert found == values


@given(texts)
def test_a_comment_ends_with_its_line(value: str) -> None:
    if refused(value):
        with pytest.raises(quoting.QuotingProblem):
            quoting.comment(value)
        return
    script = f"# {quoting.comment(value)}\r\n$y"
    assert tokens(script) == [Token("comment", f"# {value}"), Token("code", "\r\n$y")]


@given(texts.filter(lambda value: not refused(value)))
def test_a_code_span_holds_its_text(value: str) -> None:
    span = str(quoting.code(value))
    fence = len(span) - len(span.lstrip("`"))
    assert span.endswith("`" * fence)
    inside = span[fence:-fence]
    assert inside.strip(" ").replace("\\|", "|") == value.strip(" ")
    assert all(len(run) < fence for run in re.findall("`+", inside))
    assert "\n" not in span


@given(texts.filter(lambda value: not refused(value)))
def test_markdown_text_has_no_bare_mark(value: str) -> None:
    shown = str(quoting.text(value))
    plain = shown.replace("\\\\", "")
    for mark in "`*_[]<>|":
        assert plain.count(mark) == plain.count(f"\\{mark}"), shown


@given(st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.lists(st.text())))
def test_nothing_is_printed_that_went_through_no_filter(value: object) -> None:
    with pytest.raises(quoting.QuotingProblem):
        quoting.guarded(value)


@pytest.mark.parametrize("value", [True, 1.5, "1", None])
def test_a_number_is_a_number(value: object) -> None:
    with pytest.raises(quoting.QuotingProblem):
        quoting.number(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("script", ["@'\nx\n'@", "$x = `\n", '$x = "$(y)"', "'open", "\u201cx\u201d"])
def test_the_lexer_of_these_tests_refuses_what_scripts_must_not_use(script: str) -> None:
    with pytest.raises(LexerError):
        tokens(script)
