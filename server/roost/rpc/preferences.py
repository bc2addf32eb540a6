"""What a client asks of an answer: the headers Accept and Prefer, and limit and offset."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from multidict import MultiMapping

from roost.errors import RoostError

OBJECT: Final = "application/vnd.pgrst.object+json"
ARRAY: Final = "application/vnd.pgrst.array+json"
COUNTS: Final = frozenset({"exact", "planned", "estimated"})

# Known, and without effect on a call (PostgREST accepts them too).
IGNORED: Final = frozenset({"return", "resolution", "missing", "tx", "timezone"})

# Parameters of the query string that PostgREST reserves on POST, besides filters.
UNSUPPORTED: Final = frozenset({"select", "order", "and", "or", "on_conflict"})


@dataclass(frozen=True, slots=True)
class Preferences:
    """
    count -- exact, planned or estimated: how many rows there are in all (always counted exactly)
    max_affected -- refuse an answer of more rows
    applied -- the value of Preference-Applied, or None
    """

    count: bool = False
    max_affected: int | None = None
    applied: str | None = None


NO_PREFERENCES: Final = Preferences()


def read_preferences(headers: Iterable[str]) -> Preferences:
    """Reads the Prefer headers (RFC 7240). The first of several of one name counts.

    Raises RoostError PGRST122 for an unknown one with handling=strict.
    """
    given: dict[str, str] = {}
    unknown: list[str] = []
    for header in headers:
        for token in header.split(","):
            name, _, value = token.strip().partition("=")
            if (
                (name == "handling" and value in ("strict", "lenient"))
                or (name == "count" and value in COUNTS)
                or (name == "max-affected" and value.isdecimal() and len(value) < 19)
                or name in IGNORED
            ):
                given.setdefault(name, value)
            elif name:
                unknown.append(token.strip())
    strict = given.get("handling") == "strict"
    if strict and unknown:
        raise RoostError(
            code="PGRST122",
            message="Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(unknown)}",
            hint="Leave them out, or send handling=lenient.",
            status=400,
        )
    applied = [
        f"{name}={given[name]}"
        for name in ("handling", "count", "max-affected")
        if name in given and (name != "max-affected" or strict)
    ]
    return Preferences(
        count="count" in given,
        max_affected=int(given["max-affected"]) if strict and "max-affected" in given else None,
        applied=", ".join(applied) or None,
    )


def read_accept(accept: str) -> tuple[bool, bool, str]:
    """(single, strip nulls, content type) for an Accept header. Raises RoostError PGRST107."""
    offers: list[tuple[float, tuple[bool, bool, str]]] = []
    for item in accept.split(","):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        media_type = media_type.lower()
        quality = 1.0
        nulls_stripped = False
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
            elif parameter == "nulls=stripped":
                nulls_stripped = True
        if media_type in ("*/*", "application/*", "application/json"):
            offers.append((quality, (False, False, "application/json")))
        elif media_type in (OBJECT, OBJECT.removesuffix("+json")):
            suffix = ";nulls=stripped" if nulls_stripped else ""
            offers.append((quality, (True, nulls_stripped, OBJECT + suffix)))
        elif media_type in (ARRAY, ARRAY.removesuffix("+json")) and nulls_stripped:
            offers.append((quality, (False, True, ARRAY + ";nulls=stripped")))
    best = max(offers, key=lambda offer: offer[0], default=(0.0, None))
    if best[1] is None or best[0] <= 0:
        raise RoostError(
            code="PGRST107",
            message=f"None of these media types are available: {accept}",
            details=None,
            hint=f"Accept application/json, {OBJECT}, or either with nulls=stripped.",
            status=406,
        )
    return best[1]


def read_page(query: MultiMapping[str]) -> tuple[int | None, int]:
    """(limit, offset) of the query string.

    Raises RoostError PGRST103 for a bad range and PGRST127 for what Roost does not offer: nothing
    that changes the meaning of a call is ever passed over in silence.
    """
    limit: int | None = None
    offset = 0
    for name, value in query.items():
        if name in ("limit", "offset"):
            if not value.isdecimal() or len(value) > 18:
                raise RoostError(
                    code="PGRST103",
                    message="Requested range not satisfiable",
                    details=f"{name} is not a whole number from 0 up.",
                    hint=f"Send {name} as a number, or leave it out.",
                    status=416,
                )
            if name == "limit":
                limit = int(value)
            else:
                offset = int(value)
        elif name not in ("columns", "apikey"):
            reason = "is not supported" if name in UNSUPPORTED else "is taken for a filter"
            raise RoostError(
                code="PGRST127",
                message="Feature not implemented",
                details=f"The query parameter {name!r} {reason}; filters on results are not.",
                hint="Send arguments in the JSON body; choose and filter with arguments.",
                status=400,
            )
    return limit, offset
