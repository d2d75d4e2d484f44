"""Exit statuses that other programs rely on."""

from typing import Final

FINE: Final = 0
REFUSED: Final = 1
BAD_INPUT: Final = 2
