"""Writes a file whole or not at all, and never over another one unless that was asked for.

Used for the imported document and the users' table. A reader sees the old file or the new one, whatever happens.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from xmppgw.exports.findings import ExportRefused


def write_whole(path: Path, pieces: Iterable[bytes], *, replace: bool, mode: int = 0o640) -> None:
    """Write `pieces` to `path`.

    Raises ExportRefused, `output-exists` or `output-unwritable`: then nothing has changed.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.is_dir():
            raise ExportRefused("output-unwritable", "found a directory")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            unfinished.replace(path)
        else:
            # A link fails where the name is taken, even by somebody who took it a moment ago.
            path.hardlink_to(unfinished)
        _sync(path.parent)
    except FileExistsError:
        raise ExportRefused("output-exists", "there is such a file already") from None
    except OSError as error:
        raise ExportRefused("output-unwritable", f"cannot write it: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
