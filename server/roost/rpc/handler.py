"""POST /rpc/<function> and /rest/v1/rpc/<function>."""

import asyncio
import difflib
import logging
import random
from time import monotonic
from typing import Final

from aiohttp import hdrs, web

from roost.database.catalogue import PLAIN, Catalogue, Function, Returns, Shape
from roost.database.pipeline import Identity, Multiplexer, Rows, Statement
from roost.errors import DatabaseError, RoostError
from roost.responses import JSON, translated
from roost.rpc.answer import Answer
from roost.rpc.arguments import read_arguments
from roost.rpc.preferences import (
    NO_PREFERENCES,
    Preferences,
    read_accept,
    read_page,
    read_preferences,
)
from roost.tokens import AccessTokens

logger = logging.getLogger(__name__)

# Calls that take longer are logged as warnings, with the name of the function and nothing else.
SLOW_SECONDS: Final = 1.0

# A transaction that another one got in the way of: it was rolled back whole, so that it can be run
# again. A few times, after a moment that is not the same for both of them.
RETRIED: Final = frozenset({"40001", "40P01", "55P03"})
ATTEMPTS: Final = 4
RETRY_SECONDS: Final = 0.02

# supabase-js names the schema public in every call unless it is told otherwise; Roost has one
# schema to call, and answers to both names.
SCHEMAS: Final = frozenset({"api", "public"})


class Rpc:
    """Forwards calls. The catalogue can be replaced at any time; calls in flight keep theirs."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        catalogue: Catalogue,
        tokens: AccessTokens,
    ) -> None:
        self._multiplexer = multiplexer
        self._tokens = tokens
        self.catalogue = catalogue

    def routes(self) -> list[web.RouteDef]:
        """The routes of this protocol."""
        return [
            web.route("*", prefix + "/rpc/{function}", self.handle) for prefix in ("", "/rest/v1")
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one call. Raises RoostError; the application turns it into the answer."""
        if request.method != hdrs.METH_POST:
            return _refuse_method(request)
        headers = request.headers
        profile = headers.get("Content-Profile")
        if profile is not None and profile not in SCHEMAS:
            raise RoostError(
                code="PGRST106",
                message=f"Invalid schema: {profile}",
                details=None,
                hint="Only the following schemas are exposed: api",
                status=406,
            )
        name = request.match_info["function"]
        identity = self._tokens.identity(headers)
        body = await request.read() if request.body_exists else b""
        query = request.rel_url.query if "?" in request.raw_path else None
        arguments, parameter = read_arguments(
            body, headers.get(hdrs.CONTENT_TYPE, ""), query.get("columns") if query else None
        )
        function = self._find(name, arguments)

        shape = PLAIN
        content_type = JSON
        preferences = NO_PREFERENCES
        limit, offset = None, 0
        accept = headers.get(hdrs.ACCEPT, "*/*")
        if accept not in ("*/*", "application/json"):
            single, strip_nulls, content_type = read_accept(accept)
            content_type += "; charset=utf-8"
            shape = Shape(single and function.returns is Returns.SET, strip_nulls)
        if "Prefer" in headers:
            preferences = read_preferences(headers.getall("Prefer"))
        if query:
            limit, offset = read_page(query)
        parameters: tuple[bytes | None, ...] = (parameter,)
        if function.returns is Returns.SET:
            bounded = bool(query) or preferences.count or preferences.max_affected is not None
            if bounded:
                shape = Shape(shape.single, shape.strip_nulls, bounded=True)
            if bounded or shape.single:
                parameters = (
                    parameter,
                    None if limit is None else b"%d" % limit,
                    b"%d" % offset,
                    None if preferences.max_affected is None else b"%d" % preferences.max_affected,
                )
        elif preferences.max_affected is not None:
            raise RoostError(
                code="PGRST128",
                message="Function must return SETOF or TABLE when max-affected preference is used",
                details=None,
                hint="Leave max-affected out.",
                status=400,
            )

        started = monotonic()
        try:
            rows = await self._call(function.statement(arguments, shape), parameters, identity)
        except DatabaseError as error:
            raise translated(
                error,
                self.catalogue.statuses,
                self.catalogue.hints,
                anonymous=identity.role == b"anon",
            ) from None
        finally:
            elapsed = monotonic() - started
            if elapsed > SLOW_SECONDS:
                logger.warning("slow call: %s took %.0f ms", function.name, elapsed * 1000)
        return _answer(function, rows[0], preferences, offset, content_type)

    async def _call(
        self,
        statement: Statement,
        parameters: tuple[bytes | None, ...],
        identity: Identity,
    ) -> Rows:
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._multiplexer.call(statement, parameters, identity)
            except DatabaseError as error:
                if error.code not in RETRIED:
                    raise
            await asyncio.sleep(random.uniform(0.5, 1.5) * attempt * RETRY_SECONDS)  # noqa: S311
        return await self._multiplexer.call(statement, parameters, identity)

    def _find(self, name: str, arguments: frozenset[str]) -> Function:
        overloads = self.catalogue.functions.get(name, ())
        accepting = [function for function in overloads if function.accepts(arguments)]
        if len(accepting) == 1:
            return accepting[0]
        signature = f"api.{name}({', '.join(sorted(arguments))})"
        if accepting:
            raise RoostError(
                code="PGRST203",
                message="Could not choose the best candidate function",
                details=f"{signature} fits {len(accepting)} functions.",
                hint="Send more of the arguments.",
                status=300,
            )
        raise RoostError(
            code="PGRST202",
            message=f"Could not find the function {signature} in the schema cache",
            details=_mismatch(overloads, arguments),
            hint=self._suggest(name),
            status=404,
        )

    def _suggest(self, name: str) -> str:
        functions = self.catalogue.functions
        close = [name] if name in functions else difflib.get_close_matches(name, functions, 1)
        if not close:
            return "Look the function's name up in the reference."
        listed = ", ".join(
            parameter.name + ("" if parameter.required else "?")
            for parameter in functions[close[0]][0].parameters
        )
        return f"Perhaps you meant to call the function api.{close[0]}({listed})"


def _refuse_method(request: web.Request) -> web.Response:
    if request.method == hdrs.METH_OPTIONS:
        return web.Response(headers={hdrs.ALLOW: "OPTIONS,POST"})
    raise RoostError(
        code="PGRST101",
        message=f"Cannot use the {request.method} method on RPC",
        details=None,
        hint="Use POST.",
        status=405,
    )


def _mismatch(overloads: tuple[Function, ...], arguments: frozenset[str]) -> str | None:
    """Which arguments are missing or unknown, where there is one function to compare with."""
    if len(overloads) != 1:
        return None
    missing = sorted(overloads[0].required - arguments)
    unknown = sorted(arguments - overloads[0].known)
    said = [f"missing: {', '.join(missing)}"] if missing else []
    said += [f"unknown: {', '.join(unknown)}"] if unknown else []
    return "; ".join(said)


def _answer(
    function: Function,
    row: list[bytes | None],
    preferences: Preferences,
    offset: int,
    content_type: str,
) -> web.Response:
    if function.returns is Returns.VALUE and preferences is NO_PREFERENCES:
        headers = {"Content-Range": "0-0/*", hdrs.CONTENT_TYPE: content_type}
        return Answer(body=row[0] or b"null", headers=headers)
    count = int(row[1] or b"1")
    total = None
    if preferences.count:
        total = int(row[2] or b"0") if function.returns is Returns.SET else 1
    status = 200
    if total is not None:
        if offset > total:
            raise RoostError(
                code="PGRST103",
                message="Requested range not satisfiable",
                details=f"An offset of {offset} was requested, but there are only {total} rows.",
                hint="Ask for a smaller offset.",
                status=416,
            )
        status = 206 if count < total else 200
    span = f"{offset}-{offset + count - 1}" if count else "*"
    headers = {"Content-Range": f"{span}/{'*' if total is None else total}"}
    if preferences.applied:
        headers["Preference-Applied"] = preferences.applied
    if function.returns is Returns.VOID:
        return web.Response(status=204, headers=headers)
    headers[hdrs.CONTENT_TYPE] = content_type
    return Answer(body=row[0] or b"null", status=status, headers=headers)
