"""What a client is told when a request over the socket is refused.

`reason` is "<Code>: <text>" with the codes of Supabase Realtime, which its clients and their users
know; beside it stand the code, message, details and hint that an RPC call would answer with.
"""

import logging
from typing import Any, Final

from roost.errors import DatabaseError, DatabaseUnavailable, RoostError

logger = logging.getLogger(__name__)

_REASON_CODES: Final = {
    "PGRST301": "MalformedJWT",
    "PGRST303": "InvalidJWTToken",
    "RO101": "Unauthorized",
    "RO102": "Unauthorized",
    "RO103": "Unauthorized",
    "RO401": "Unauthorized",
    "RO402": "UnableToReplayMessages",
    "RO403": "UnableToReplayMessages",
}


def sign_in_required() -> RoostError:
    """Nobody is behind a join."""
    return RoostError(
        code="RO101",
        message="A channel needs a signed-in person.",
        details=None,
        hint="Sign in, and send the access token as access_token of phx_join.",
        status=401,
    )


def must_refetch() -> RoostError:
    """The log has lost events that a channel has not had."""
    return RoostError(
        code="RO403",
        message="Events that this channel has not had are gone.",
        details=None,
        hint="Read the state again, then join without an offset.",
        status=410,
    )


def refused(code: str, message: str, hint: str, details: str | None = None) -> RoostError:
    """A request that the protocol has, but that is not accepted here; code as Supabase names it."""
    return RoostError(code=code, message=message, details=details, hint=hint, status=400)


def reason(error: RoostError) -> str:
    """The error as one line: "<Code>: <text>"."""
    if isinstance(error, DatabaseUnavailable):
        return f"UnableToConnectToProject: {error.message}"
    return f"{_REASON_CODES.get(error.code, error.code)}: {error.message}"


def presentable(error: RoostError) -> RoostError:
    """The error as a client may see it: what PostgreSQL says of the inside goes to the log only."""
    if not isinstance(error, DatabaseError) or error.code.startswith("RO"):
        return error
    logger.error("SQLSTATE %s: %s", error.code, error.message)
    return RoostError(
        code=error.code,
        message="The server could not do this.",
        details=None,
        hint="Try again; if it stays, tell the operator the code.",
        status=500,
    )


def response(error: RoostError) -> dict[str, Any]:
    """The response of an error reply."""
    error = presentable(error)
    return {
        "reason": reason(error),
        "code": error.code,
        "message": error.message,
        "details": error.details,
        "hint": error.hint,
    }
