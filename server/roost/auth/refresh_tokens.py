"""
Refresh tokens: base64url(16 bytes of the session's id, 32 bytes of secret), 64 characters.

Only the SHA-256 of the secret is stored. The first secret is random; each one after it is
HMAC-SHA256(server's key, token before it), so that a token that is presented twice within the grace
gets the same successor without that being stored anywhere.
"""

import base64
import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Final, Self

SECRET_BYTES: Final = 32
# 48 bytes in base64url need no padding, and there is one way only to write them.
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)


def new_secret() -> bytes:
    """The secret half of a session's first token."""
    return secrets.token_bytes(SECRET_BYTES)


def digest(secret: bytes) -> bytes:
    """What the database keeps of a secret. It has 256 random bits, so a plain hash will do."""
    return hashlib.sha256(secret).digest()


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token in its two halves."""

    session_id: uuid.UUID
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what can't be a token."""
        if TOKEN.fullmatch(text) is None:
            return None
        raw = base64.urlsafe_b64decode(text)
        return cls(uuid.UUID(bytes=raw[:16]), raw[16:])

    @classmethod
    def of(cls, session_id: str, secret: bytes) -> Self:
        """The token of a session whose secret is known."""
        return cls(uuid.UUID(session_id), secret)

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(self._bytes()).decode()

    def successor(self, key: bytes) -> "RefreshToken":
        """The token that takes this one's place."""
        return RefreshToken(self.session_id, hmac.digest(key, self._bytes(), hashlib.sha256))

    def _bytes(self) -> bytes:
        return self.session_id.bytes + self.secret
