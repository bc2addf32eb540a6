"""How errors become HTTP answers: one table from SQLSTATE to status, one JSON body.

The body is {"code", "message", "details", "hint"}, as PostgREST's clients expect it, and the
"request_id" that the log lines of the request carry.
"""

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from roost.errors import DatabaseError, RoostError

logger = logging.getLogger(__name__)

# Set for each request by the application; every log line and error body carries it.
request_id: ContextVar[str] = ContextVar("request_id", default="-")

JSON: Final = "application/json; charset=utf-8"

# PostgREST's table (its docs/references/errors.rst), with three changes for the better: a statement
# timeout is a 504, a serialization failure or deadlock a 409 that may be tried again, and missing
# data a 404. The longest prefix decides.
STATUSES: Final[Mapping[str, int]] = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "21": 500,
    "22023": 400,
    "23503": 409,
    "23505": 409,
    "25": 500,
    "25006": 405,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 409,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "42501": 403,
    "53": 503,
    "53400": 500,
    "54": 500,
    "55": 500,
    "57": 503,
    "57014": 504,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "P0001": 400,
    "P0002": 404,
    "XX": 500,
}

ENUM_TYPE: Final = re.compile(r"roost\.\w+")

# What to do about errors that PostgreSQL itself raises, where it does not say.
HINTS: Final[Mapping[str, str]] = {
    "22P02": "Send the value in the form that its type has, such as a UUID or a number.",
    "22021": "Send text in UTF-8, without zero bytes.",
    "22P05": "Leave out characters that PostgreSQL can't store, such as \\u0000.",
    "22003": "Send a smaller number.",
    "22001": "Send a shorter value.",
    "22007": "Send dates and times in ISO 8601.",
    "22008": "Send dates and times in ISO 8601.",
    "22009": "Send dates and times in ISO 8601.",
    "23502": "Send a value that is not null.",
    "40001": "Send the call again.",
    "40P01": "Send the call again.",
    "42501": "Call this as somebody who may.",
    "57014": "Ask for less at once, or try again later.",
}


def status_of(sqlstate: str, domain_statuses: Mapping[str, int], *, anonymous: bool) -> int:
    """HTTP status of an SQLSTATE; everything unlisted is the caller's mistake (400).

    An anonymous caller without the right gets 401, since signing in may help.
    """
    if sqlstate == "42501" and anonymous:
        return 401
    if sqlstate in domain_statuses:
        return domain_statuses[sqlstate]
    if sqlstate.startswith("PT"):
        # RAISE SQLSTATE 'PT402' chooses its status (PostgREST's convention).
        code = sqlstate[2:]
        return int(code) if code.isdecimal() and 200 <= int(code) <= 599 else 500
    return STATUSES.get(sqlstate, STATUSES.get(sqlstate[:2], 400))


def translated(
    error: DatabaseError,
    domain_statuses: Mapping[str, int],
    hints: Mapping[str, str],
    *,
    anonymous: bool,
) -> RoostError:
    """A database error as the client is to see it.

    Follows RAISE SQLSTATE 'PGRST' with a JSON body in its message and {"status"} in its detail.
    What a 5xx says of the inside goes to the log only. Roost's own errors say nothing of it.
    """
    if error.sqlstate == "PGRST":
        return _raised_by_hand(error)
    status = status_of(error.sqlstate, domain_statuses, anonymous=anonymous)
    hint = error.hint or hints.get(error.constraint or "")
    if hint is None and error.sqlstate == "22P02":
        # The message names the type, and then quotes the value, which may name anything.
        named = ENUM_TYPE.search(error.message.partition('"')[0])
        hint = hints.get(named[0]) if named else None
    if hint is None:
        hint = "Sign in first." if status == 401 else HINTS.get(error.sqlstate)
    if status >= 500 and error.sqlstate != "57014" and error.sqlstate not in domain_statuses:
        logger.error("SQLSTATE %s: %s", error.sqlstate, error.message)
        return RoostError(
            code=error.sqlstate,
            message="The server could not do this.",
            details=None,
            hint=hint or "Try again; if it stays, give the operator the request_id.",
            status=status,
        )
    return RoostError(
        code=error.sqlstate,
        message=error.message,
        details=error.details,
        hint=hint,
        status=status,
    )


def _raised_by_hand(error: DatabaseError) -> RoostError:
    try:
        body = orjson.loads(error.message)
        status = orjson.loads(error.details or "")["status"]
        return RoostError(
            code=str(body["code"]),
            message=str(body["message"]),
            details=body.get("details"),
            hint=body.get("hint"),
            status=int(HTTPStatus(status)),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return RoostError(
            code="PGRST121",
            message="Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            details=None,
            hint="MESSAGE holds {code, message}, DETAIL holds {status, headers}.",
            status=500,
        )


def error_body(error: RoostError, **more: Any) -> bytes:
    """The JSON of an error. What it quotes may hold header bytes that were not UTF-8: they came as
    surrogates, which JSON can't hold, and go as question marks."""
    body = {
        "code": error.code,
        "message": error.message,
        "details": error.details,
        "hint": error.hint,
        "request_id": request_id.get(),
        **more,
    }
    return orjson.dumps(
        {
            name: value.encode(errors="replace").decode() if isinstance(value, str) else value
            for name, value in body.items()
        }
    )


def error_response(error: RoostError) -> web.Response:
    """The JSON answer for an error, with the headers that clients and proxies look for."""
    response = web.Response(body=error_body(error), status=error.status)
    response.headers["Content-Type"] = JSON
    response.headers["Proxy-Status"] = f"Roost; error={error.code}"
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    elif error.status == 503:
        response.headers["Retry-After"] = "1"
    return response
