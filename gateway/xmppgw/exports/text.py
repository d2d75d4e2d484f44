"""From the bytes of an exported file to its text: encoding, byte order mark, size, and what is no text at all.

PowerShell writes UTF-8 and UTF-16, with and without a mark, depending on cmdlet and version. Read piece by piece, so
that the export of 200,000 users needs no more memory than that of one.
"""

from __future__ import annotations

import codecs
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from xmppgw.exports.findings import ExportRefused

#: 200,000 users with every property, as CSV, take some 300 MiB.
MAXIMUM_BYTES: Final = 1024 * 1024 * 1024
#: Characters between two line ends.
LONGEST_LINE: Final = 1_048_576
_PIECE: Final = 262_144

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BINARY: Final = (b"PK\x03\x04", b"\x1f\x8b", b"%PDF", b"\xd0\xcf\x11\xe0", b"SQLite format 3\0", b"\x7fELF", b"MZ")
# No export has them: PowerShell writes them as _x0001_, \u0001 or not at all.
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


class ExportText:
    """The text of one file, as a context. Every reading may raise ExportRefused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.encoding = ""
        #: Whether the last character read was a line end.
        self.ended_with_line = True
        self._file: BinaryIO | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ahead = b""
        self._read = 0
        self._line = 1
        self._finished = False

    def __enter__(self) -> ExportText:
        try:
            mode = self.path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise ExportRefused("export-not-regular", "found something that is not a file")
            size = self.path.stat().st_size
            if size > MAXIMUM_BYTES:
                raise ExportRefused("export-too-large", f"found {size} bytes, expected at most {MAXIMUM_BYTES}")
            self._file = self.path.open("rb")
            self._ahead = self._file.read(4096)
        except FileNotFoundError:
            raise ExportRefused("export-missing", "found no such file") from None
        except OSError as error:
            raise ExportRefused("export-unreadable", f"cannot read it: {error.strerror}") from None
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        if not self._ahead:
            raise ExportRefused("export-empty", "the file is empty")
        self.encoding, skip = _encoding_of(self._ahead)
        self._ahead = self._ahead[skip:]
        self._decoder = codecs.getincrementaldecoder(self.encoding)("strict")

    def read(self, limit: int = _PIECE) -> str:
        """The next piece of text; empty at the end. `limit` is in octets, and only a wish."""
        assert self._file is not None
        assert self._decoder is not None
        text = ""
        while not text and not self._finished:
            try:
                data, self._ahead = self._ahead or self._file.read(limit), b""
            except OSError as error:
                raise ExportRefused("export-unreadable", f"cannot read it: {error.strerror}") from None
            self._read += len(data)
            if self._read > MAXIMUM_BYTES:
                raise ExportRefused("export-too-large", f"found more than {MAXIMUM_BYTES} bytes")
            self._finished = not data
            try:
                text = self._decoder.decode(data, final=self._finished)
            except UnicodeDecodeError as error:
                cut = "truncated" in error.reason or "unexpected end" in error.reason
                if self._finished and cut:
                    raise ExportRefused("export-cut-off", "the file ends within a character", self._line) from None
                found = f"found a byte that is not {self.encoding.upper()} ({error.reason})"
                raise ExportRefused("export-encoding", found, self._line) from None
        control = _CONTROL.search(text)
        if control is not None:
            line = self._line + text.count("\n", 0, control.start())
            found = f"found the control character U+{ord(control[0]):04X}, which no export contains"
            raise ExportRefused("export-binary", found, line)
        self._line += text.count("\n")
        if text:
            self.ended_with_line = text.endswith(("\n", "\r"))
        return text

    def lines(self) -> Iterator[str]:
        """Lines with their ends, whatever the ends are."""
        rest = ""
        while piece := self.read():
            rest += piece
            # A carriage return at the end of a piece may be half of a line end.
            held = "\r" if rest.endswith("\r") else ""
            parts = _split(rest[: len(rest) - len(held)])
            rest = (parts.pop() if parts and not parts[-1].endswith(("\n", "\r")) else "") + held
            yield from parts
            if len(rest) > LONGEST_LINE:
                raise ExportRefused("export-too-large", f"found a line of more than {LONGEST_LINE} characters")
        if rest:
            yield rest


_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def _split(text: str) -> list[str]:
    # `splitlines` would also split at characters that are part of a value (U+0085, U+2028).
    return _LINE.findall(text)


def _encoding_of(beginning: bytes) -> tuple[str, int]:
    for mark, name in _MARKS:
        if beginning.startswith(mark):
            if name == "utf-32":
                raise ExportRefused("export-encoding", "found UTF-32, expected UTF-8 or UTF-16", 1)
            if len(beginning) == len(mark):
                raise ExportRefused("export-empty", "the file holds a byte order mark and nothing else")
            return name, len(mark)
    if beginning.startswith(_BINARY):
        raise ExportRefused("export-binary", "found an archive, a workbook or a program, expected a text")
    # Every form begins with two ASCII characters; in UTF-16 one byte of each is zero.
    if len(beginning) >= 4 and beginning[1] == 0 and beginning[3] == 0 and beginning[0] and beginning[2]:
        return "utf-16-le", 0
    if len(beginning) >= 4 and beginning[0] == 0 and beginning[2] == 0 and beginning[1] and beginning[3]:
        return "utf-16-be", 0
    if b"\0" in beginning:
        raise ExportRefused("export-binary", "found NUL bytes, expected a text")
    return "utf-8", 0
