"""SHA-256 of uploads under way, as far as they have arrived."""

import hashlib
from typing import Any, Final
from uuid import UUID

# Each takes some 500 bytes. Of one that is forgotten the bytes are read once more, at the end.
REMEMBERED: Final = 10_000


class RunningHashes:
    """Remembers the hash of each upload that this process has taken bytes of."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._hashes: dict[UUID, tuple[int, Any]] = {}

    def take(self, upload_id: UUID, up_to: int) -> Any | None:
        """The hash of the bytes before `up_to`, for the caller to go on with, or None."""
        if up_to == 0:
            self._hashes.pop(upload_id, None)
            return hashlib.sha256()
        known = self._hashes.get(upload_id)
        if known is None or known[0] != up_to:
            return None
        del self._hashes[upload_id]
        return known[1]

    def put(self, upload_id: UUID, up_to: int, running: Any) -> None:
        """Remembers the hash of the bytes before `up_to`."""
        self._hashes.pop(upload_id, None)
        if len(self._hashes) >= self._limit:
            del self._hashes[next(iter(self._hashes))]
        self._hashes[upload_id] = (up_to, running)

    def forget(self, upload_id: UUID) -> None:
        """Forgets an upload that is at its end."""
        self._hashes.pop(upload_id, None)
