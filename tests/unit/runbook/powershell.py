"""A small PowerShell lexer of the tests' own: strings, comments and code, by the language specification (2.3.5.2).

Independent of the quoting it judges. It knows what the runbook's scripts use and fails on what they must not use:
double-quoted strings with a value in them, here-strings, back-ticks.
"""

from dataclasses import dataclass

# The specification's single-quote-character and double-quote-character.
SINGLE = "'\u2018\u2019\u201a\u201b"
DOUBLE = '"\u201c\u201d\u201e'
NEWLINE = "\r\n"


class LexerError(AssertionError):
    """The script is not what its author meant."""


@dataclass(frozen=True)
class Token:
    kind: str
    """`string`, `comment` or `code`."""
    value: str


def tokens(script: str) -> list[Token]:
    """The tokens of a script; pieces of code between strings and comments are one token each."""
    found, code, position = [], [], 0

    def flush() -> None:
        if code:
            found.append(Token("code", "".join(code)))
            code.clear()

    while position < len(script):
        character = script[position]
        following = script[position + 1 : position + 2]
        if character == "@" and following and following in SINGLE + DOUBLE:
            raise LexerError(f"a here-string at {script[position : position + 40]!r}")
        if character == "`":
            raise LexerError(f"a back-tick at {script[position : position + 40]!r}")
        if character in DOUBLE:
            raise LexerError(f"a double-quoted string at {script[position : position + 40]!r}")
        if character in SINGLE:
            flush()
            value, position = single_quoted(script, position + 1)
            found.append(Token("string", value))
        elif character == "#" and (position == 0 or script[position - 1] in " \t\r\n;{(,\ufeff"):
            flush()
            end = min((at for mark in NEWLINE if (at := script.find(mark, position)) >= 0), default=len(script))
            found.append(Token("comment", script[position:end]))
            position = end
        else:
            code.append(character)
            position += 1
    flush()
    return found


def single_quoted(script: str, position: int) -> tuple[str, int]:
    """The value of a string whose opening quote ends before `position`, and where it ends."""
    value = []
    while position < len(script):
        character = script[position]
        if character in SINGLE:
            if script[position + 1 : position + 2] and script[position + 1] in SINGLE:
                value.append(script[position + 1])
                position += 2
                continue
            return "".join(value), position + 1
        value.append(character)
        position += 1
    raise LexerError("a string without its end")
