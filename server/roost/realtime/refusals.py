"""What a client is told when a request over the socket is refused.

`reason` is "<Code>: <text>" with the codes of Supabase Realtime, which its clients and their users
know; beside it stand the code, message, details and hint that an RPC call would answer with. The
event "system" has the former as its `message`, which is what clients show.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from roost.errors import DatabaseError, DatabaseUnavailable, RoostError
from roost.responses import HINTS, status_of, translated

logger = logging.getLogger(__name__)

_NO_STATUSES: Final[Mapping[str, int]] = {}

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


def sign_in_required(
    hint: str = "Sign in, and send the access token as access_token of phx_join.",
) -> RoostError:
    """Nobody is behind a join."""
    return RoostError(
        code="RO101",
        message="A channel needs a signed-in person.",
        details=None,
        hint=hint,
        status=401,
    )


def session_over() -> RoostError:
    """The session behind a channel has ended."""
    return RoostError(
        code="RO102",
        message="The session is over.",
        details=None,
        hint="Sign in again.",
        status=401,
    )


def no_longer_allowed() -> RoostError:
    """The right to a topic has ended while it was joined."""
    return RoostError(
        code="RO401",
        message="You may not join this topic.",
        details=None,
        hint="Your right to it has ended: ask whoever removed you to add you again.",
        status=403,
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


def restarting() -> RoostError:
    """The server takes nobody in any more."""
    return RoostError(
        code="RealtimeRestarting",
        message="The server restarts.",
        details=None,
        hint="Try again.",
        status=503,
    )


def refused(code: str, message: str, hint: str, details: str | None = None) -> RoostError:
    """A request that the protocol has, but that is not accepted here; code as Supabase names it."""
    return RoostError(code=code, message=message, details=details, hint=hint, status=400)


def reason(error: RoostError) -> str:
    """The error as one line: "<Code>: <text>"."""
    if isinstance(error, DatabaseUnavailable):
        return f"UnableToConnectToProject: {error.message}"
    return f"{_REASON_CODES.get(error.code, error.code)}: {error.message}"


def presentable(error: RoostError, statuses: Mapping[str, int] = _NO_STATUSES) -> RoostError:
    """The error as a client may see it: what PostgreSQL says of the inside goes to the log only.

    As for a call, but that there is no request_id to tell an operator.

    statuses -- HTTP statuses of Roost's own errors; a socket needs none, since all are the caller's
    """
    if not isinstance(error, DatabaseError):
        return error
    status = status_of(error.sqlstate, statuses, anonymous=False)
    if status < 500:
        return translated(error, statuses, {}, anonymous=False)
    logger.error("SQLSTATE %s: %s", error.sqlstate, error.message)
    return RoostError(
        code=error.sqlstate,
        message="The server could not do this.",
        details=None,
        hint=HINTS.get(error.sqlstate, "Try again; if it stays, tell the operator the code."),
        status=status,
    )


def response(error: RoostError, reason_text: str | None = None) -> dict[str, Any]:
    """The response of an error reply; reason_text is for where the protocol has words for it."""
    error = presentable(error)
    return {
        "reason": reason_text or reason(error),
        "code": error.code,
        "message": error.message,
        "details": error.details,
        "hint": error.hint,
    }


def system(error: RoostError, channel: str) -> dict[str, Any]:
    """The payload of a "system" event that tells of an error; channel is a topic, or empty."""
    error = presentable(error)
    return {
        "extension": "system",
        "status": "error",
        "message": reason(error),
        "channel": channel,
        "code": error.code,
        "details": error.details,
        "hint": error.hint,
    }
