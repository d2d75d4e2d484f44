"""How much waits in the front end: messages and octets, by partner and in all.

Asked by `frontend.context` before anything is accepted. Every call costs the same, whatever waits and for how many.
"""

from __future__ import annotations


class Load:
    """Counts what is in the store or on its way there. Falsy while nothing is."""

    def __init__(self) -> None:
        self.messages = 0
        #: Of payloads: what a message takes beyond a fixed amount, on the disk and in memory.
        self.octets = 0
        self._of: dict[str, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return self.messages > 0

    def add(self, partner: str, octets: int) -> None:
        """One more message of so many octets."""
        self._change(partner, 1, octets)

    def remove(self, partner: str, octets: int) -> None:
        """One less."""
        self._change(partner, -1, -octets)

    def of(self, partner: str) -> tuple[int, int]:
        """Return a partner's messages and octets."""
        return self._of.get(partner, (0, 0))

    def partners(self) -> dict[str, int]:
        """Return how many messages wait for each partner, sorted; only partners for whom any do."""
        return {partner: messages for partner, (messages, _) in sorted(self._of.items())}

    def _change(self, partner: str, messages: int, octets: int) -> None:
        self.messages += messages
        self.octets += octets
        known_messages, known_octets = self.of(partner)
        if known_messages + messages <= 0:
            self._of.pop(partner, None)
        else:
            self._of[partner] = (known_messages + messages, known_octets + octets)
