"""Tables for people: aligned text, or Markdown. Used by the verbs that print documents' tables."""

from __future__ import annotations

from collections.abc import Sequence


def code(text: str) -> str:
    """The text as a Markdown code span; nothing stays nothing."""
    return f"`{text.replace('`', ' ')}`" if text else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """The rows under the header, with a final newline. Empty for no rows."""
    if not rows:
        return ""
    if markdown:
        lines = [_markdown_row(header), "|" + "---|" * len(header), *(_markdown_row(row) for row in rows)]
        return "\n".join(lines) + "\n"
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = [_text_row(header, widths), _text_row(["-" * width for width in widths], widths)]
    lines += [_text_row(row, widths) for row in rows]
    return "\n".join(lines) + "\n"


def _text_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
