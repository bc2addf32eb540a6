"""How often the progress of a transfer is told."""

from collections.abc import Hashable
from time import monotonic
from typing import Final

# Four a second.
PAUSE_SECONDS: Final = 0.25
# Transfers of which it is remembered when they were told of last.
REMEMBERED: Final = 10_000


class Throttle:
    """Says when it is time to tell of a transfer again, however many requests it is made of."""

    def __init__(self, pause: float = PAUSE_SECONDS, limit: int = REMEMBERED) -> None:
        self._pause = pause
        self._limit = limit
        self._told_at: dict[Hashable, float] = {}

    def is_due(self, transfer: Hashable) -> bool:
        """Whether it is to be told of now; then it counts as told."""
        now = monotonic()
        told_at = self._told_at.get(transfer)
        if told_at is not None and now - told_at < self._pause:
            return False
        self._told_at.pop(transfer, None)
        if len(self._told_at) >= self._limit:
            del self._told_at[next(iter(self._told_at))]
        self._told_at[transfer] = now
        return True
