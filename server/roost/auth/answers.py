"""GoTrue's shapes: the user, the session, the error."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from roost.errors import RoostError
from roost.responses import JSON, error_body

API_VERSION_HEADER: Final = "X-Supabase-Api-Version"
API_VERSION: Final = "2024-01-01"

# RFC 6749, section 5.1: what holds tokens is not to be stored on the way.
HEADERS: Final[Mapping[str, str]] = {hdrs.CONTENT_TYPE: JSON, hdrs.CACHE_CONTROL: "no-store"}

# GoTrue's code where Roost's own name is not one of GoTrue's codes.
CODES: Final[Mapping[str, str]] = {
    "PGRST301": "bad_jwt",
    "PGRST303": "bad_jwt",
    "invalid_argument": "validation_failed",
}


def user_json(user: Mapping[str, Any]) -> dict[str, Any]:
    """GoTrue's user, from a roost.auth_user. Addresses count as confirmed from the start."""
    return {
        "id": user["id"],
        "aud": "authenticated",
        "role": "authenticated",
        "email": user["email"],
        "email_confirmed_at": user["created_at"],
        "phone": "",
        "confirmed_at": user["created_at"],
        "last_sign_in_at": user["last_login"],
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": user["user_metadata"],
        "identities": [
            {
                "identity_id": user["id"],
                "id": user["id"],
                "user_id": user["id"],
                "identity_data": {
                    "sub": user["id"],
                    "email": user["email"],
                    "email_verified": True,
                    "phone_verified": False,
                },
                "provider": "email",
                "email": user["email"],
                "last_sign_in_at": user["last_login"],
                "created_at": user["created_at"],
                "updated_at": user["updated_at"],
            }
        ],
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
        "is_anonymous": False,
    }


def json_response(value: Any) -> web.Response:
    """A good answer."""
    return web.Response(body=orjson.dumps(value), headers=HEADERS)


def gotrue_error(error: RoostError, error_names: Mapping[str, str]) -> RoostError:
    """An error with its code as auth-js knows it."""
    name = error_names.get(error.code, error.code)
    name = CODES.get(name, name)
    # SQLSTATEs and codes of PostgREST that have no name are in capitals and digits.
    if re.fullmatch(r"[A-Z0-9]+", name):
        if error.status == 504:
            name = "request_timeout"
        elif error.status >= 500:
            name = "unexpected_failure"
        elif error.status == 409:
            name = "conflict"
        else:
            name = "validation_failed"
    return RoostError(
        code=name,
        message=error.message,
        # What PostgreSQL says about a constraint quotes the row.
        details=None if error.code.startswith("23") else error.details,
        hint=error.hint or "Look at the values that you sent.",
        status=error.status,
    )


def gotrue_response(error: RoostError) -> web.Response:
    """The answer for an error that has one of GoTrue's codes."""
    more: dict[str, Any] = {"error_code": error.code}
    if error.code == "weak_password":
        more["weak_password"] = {"reasons": ["length"]}
    headers: dict[str, str] = {
        **HEADERS,
        API_VERSION_HEADER: API_VERSION,
        "Proxy-Status": f"Roost; error={error.code}",
    }
    if error.status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    elif error.status == 429:
        seconds = re.search(r"[0-9]+", error.details or "")
        headers[hdrs.RETRY_AFTER] = seconds[0] if seconds else "1"
    elif error.status == 503:
        headers[hdrs.RETRY_AFTER] = "1"
    return web.Response(body=error_body(error, **more), status=error.status, headers=headers)
