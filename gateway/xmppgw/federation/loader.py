"""Reads a federation document from a file: the only place in this room that touches the file system.

Everyone who needs a document calls `load_document`; who also wants the warnings calls `examine_document`.
"""

from __future__ import annotations

from pathlib import Path

from xmppgw.federation.composition import MAXIMUM_BYTES, Flaw
from xmppgw.federation.model import Document
from xmppgw.federation.validation import Examination, examine_bytes, problem_of_flaw


def load_document(path: str | Path) -> Document:
    """The document in the file at `path`. Raises DocumentProblems, with every problem, if it cannot be used."""
    return examine_document(path).require()


def examine_document(path: str | Path) -> Examination:
    """The document in the file at `path`, if it can be used, and every problem, warnings included. Never raises."""
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            # One byte more than is allowed shows that there is more; what that is need not be read.
            data = file.read(MAXIMUM_BYTES + 1)
    except FileNotFoundError:
        return _unread("file-missing", name, "found no such file")
    except IsADirectoryError:
        return _unread("file-not-regular", name, "found a directory, expected a file")
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        return _unread("file-unreadable", name, f"cannot read it: {getattr(error, 'strerror', None) or error}")
    return examine_bytes(data, name)


def _unread(code: str, file: str, message: str) -> Examination:
    return Examination(None, (problem_of_flaw(Flaw(code, 0, (), message), file),))
