"""Signed links: for a while, whoever has one reads one file in the name of who made it."""

import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import jwt

from roost.database.transactions import LinkIdentity
from roost.errors import RoostError

ALGORITHM: Final = "HS256"
AUDIENCE: Final = "file_link"


@dataclass(frozen=True, slots=True)
class Link:
    """
    What a token says.

    version -- of the file; None for the newest
    expires_at -- Unix time in seconds
    """

    file_id: UUID
    version: int | None
    user_id: str
    expires_at: int


class Links:
    """Makes the tokens of links, and reads them. Their key is for nothing else."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def sign(self, file_id: UUID, version: int | None, user_id: str, seconds: int) -> Link:
        """A link from now on."""
        return Link(file_id, version, user_id, int(time.time()) + seconds)

    def token(self, link: Link) -> str:
        """What stands for the link in its address."""
        return jwt.encode(
            {
                "aud": AUDIENCE,
                "exp": link.expires_at,
                "sub": link.user_id,
                "file": str(link.file_id),
                "version": link.version,
            },
            self._key,
            algorithm=ALGORITHM,
        )

    def identity(self, token: str, file_id: UUID, version: int | None) -> LinkIdentity:
        """In whose name a token reads this version of this file. Raises RoostError, status 403."""
        try:
            said = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise _refused("It has expired.") from None
        except (jwt.InvalidTokenError, ArithmeticError, RecursionError, TypeError, ValueError):
            raise _refused("It is none of this server.") from None
        if (said.get("file"), said.get("version")) != (str(file_id), version):
            raise _refused("It is for another file.")
        return LinkIdentity(said["sub"])


def _refused(reason: str) -> RoostError:
    return RoostError(
        code="RO202",
        message="This link does not open the file.",
        details=reason,
        hint="Ask who sent it for a new one.",
        status=403,
    )
