"""What the operator has to put right, as an exception with a stable code; and the status of a run that waits for
somebody. Used on the controller only."""

from __future__ import annotations

AWAITED = 6
"""Exit status of a run that waits for somebody, or for longer than a run does: nothing failed, and the same playbook
goes on afterwards."""


class PictureError(Exception):
    """Something the operator has to put right before anything can be planned. `code` is stable."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text
