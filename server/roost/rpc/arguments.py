"""The body of a call: which arguments it has, and the JSON that PostgreSQL expands."""

import json
from typing import Final
from urllib.parse import parse_qsl

import orjson

from roost.errors import RoostError

NO_ARGUMENTS: Final[frozenset[str]] = frozenset()


def _invalid(message: str, hint: str, details: str | None = None) -> RoostError:
    return RoostError(code="PGRST102", message=message, details=details, hint=hint, status=400)


def read_arguments(
    body: bytes, content_type: str, columns: str | None
) -> tuple[frozenset[str], bytes]:
    """The names of the arguments, and a JSON object that holds them.

    columns -- ?columns=a,b: only these keys count
    Raises RoostError PGRST102 for a body that is not one.
    """
    names, parameter = _read(body, content_type)
    if columns is not None:
        names = frozenset(name.strip(' "') for name in columns.split(",") if name.strip(' "'))
    return names, parameter


def _read(body: bytes, content_type: str) -> tuple[frozenset[str], bytes]:
    if not body:
        return NO_ARGUMENTS, b"{}"
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return _from_form(body)
    if media_type not in ("application/json", "", "application/octet-stream"):
        raise _invalid(
            f"Content-Type not acceptable: {media_type}",
            "Send the arguments as a JSON object, with Content-Type: application/json.",
        )
    try:
        arguments = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid(
            "Empty or invalid json",
            "Send the arguments as a JSON object.",
            str(error),
        ) from None
    if type(arguments) is dict:
        return frozenset(arguments), body
    if type(arguments) is list and arguments and all(type(a) is dict for a in arguments):
        # PostgREST takes the first object of a list, and wants all to be alike.
        names = frozenset(arguments[0])
        if any(frozenset(other) != names for other in arguments):
            raise _invalid("All object keys must match", "Send one JSON object a call.")
        return names, _first(body)
    raise _invalid(
        "The body is not a JSON object.",
        'Send the arguments by name, such as {"title": "Plans"}.',
        f"It is {type(arguments).__name__}.",
    )


def _first(body: bytes) -> bytes:
    """The text of the first element of a JSON list, as it stands: numbers keep all their digits."""
    text = body.decode()
    start = text.index("{")
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end].encode()


def _from_form(body: bytes) -> tuple[frozenset[str], bytes]:
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise _invalid(
            "The form could not be read.",
            "Is it JSON? Then send Content-Type: application/json (curl -d sends a form unless it"
            " is told otherwise). A form is name=value pairs in UTF-8, joined by &, at most 100.",
            str(error),
        ) from None
    arguments = dict(pairs)
    return frozenset(arguments), orjson.dumps(arguments)
