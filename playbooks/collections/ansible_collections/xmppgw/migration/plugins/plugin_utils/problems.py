"""What the operator has to put right, as an exception with a stable code. Raised on the controller only."""

from __future__ import annotations


class PictureError(Exception):
    """Something the operator has to put right before anything can be planned. `code` is stable."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text
