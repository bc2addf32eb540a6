"""Wiring: opens what the server needs, in order, and puts the protocols behind one address."""

import asyncio
import functools
import gc
import itertools
import logging
import re
import resource
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client.registry import Collector

from roost.auth.handlers import Auth
from roost.auth.passwords import Passwords
from roost.database.catalogue import load_catalogue
from roost.database.listener import Listener
from roost.database.pipeline import Multiplexer
from roost.database.queries import SELECT_ONE
from roost.database.transactions import Transactions
from roost.errors import RoostError
from roost.files.handlers import Files
from roost.jobs import Jobs
from roost.metrics import Metrics
from roost.offline_worker import OfflineCollector, OfflineWorker
from roost.realtime.host_link import HostLink
from roost.realtime.metrics import RelayCollector
from roost.realtime.relay import Relay
from roost.responses import error_response, request_id
from roost.rpc.handler import Rpc
from roost.settings import Settings
from roost.tokens import AccessTokens, read_server_secret

logger = logging.getLogger(__name__)

MULTIPLEXER: Final = web.AppKey("multiplexer", Multiplexer)
RELAY: Final = web.AppKey("relay", Relay)

EVENTS_CHANNEL: Final = "roost_events"
SCHEMA_CHANNEL: Final = "roost_schema"

SLOW_CONNECTIONS: Final = 2
PIPELINE_DEPTH: Final = 8
CONNECT_TIMEOUT: Final = 2.0

# The whole server ends within five seconds, PostgreSQL included. First sockets are told to come
# back, over ROOST_REALTIME_DRAIN_MS, while calls go on. Then aiohttp waits for the requests in
# flight, cancels them and waits as long again; after that there are only connections to close.
DRAIN_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 0.5

# Connections that wait to be accepted. After a crash all clients come back at once; for whom there
# is no room their system tries again after 1, 3 and 7 seconds. Linux allows as many (somaxconn).
BACKLOG: Final = 4_096

# Each connection is an open file. Many systems begin with 1,024, and let whoever asks have more.
MOST_OPEN_FILES: Final = 1_048_576

# A request id that comes from outside, as from a proxy, is kept when it can't break a log line.
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

CORS_HEADERS: Final = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Accept, Accept-Profile, Apikey, Authorization, Baggage, Content-Profile, Content-Type,"
        " If-None-Match, If-Range, Prefer, Range, Traceparent, Tracestate, Tus-Resumable,"
        " Upload-Checksum, Upload-Concat, Upload-Defer-Length, Upload-Length, Upload-Metadata,"
        " Upload-Offset, X-Client-Info, X-Http-Method-Override, X-Request-Id, X-Requested-With,"
        " X-Retry-Count, X-Roost-Device, X-Supabase-Api-Version"
    ),
    "Access-Control-Max-Age": "86400",
}
EXPOSED_HEADERS: Final = (
    "Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, Content-Location,"
    " Content-Range, Content-Type, Date, ETag, Last-Modified, Location, Preference-Applied,"
    " Proxy-Status, Retry-After, Server, Tus-Checksum-Algorithm, Tus-Extension, Tus-Resumable,"
    " Tus-Version, Upload-Concat, Upload-Defer-Length, Upload-Expires, Upload-Length,"
    " Upload-Metadata, Upload-Offset, X-Request-Id, X-Roost-File, X-Roost-Outcome,"
    " X-Roost-Version, X-Supabase-Api-Version"
)

INTERNAL_ERROR: Final = RoostError(
    code="XX000",
    message="The server could not do this.",
    details=None,
    hint="Try again; if it stays, give the operator the request_id.",
    status=500,
)


def _from_http(error: web.HTTPException, settings: Settings) -> RoostError:
    """aiohttp's own refusals in the form of all others."""
    match error.status:
        case 404:
            code, message = "PGRST125", "Invalid path specified in request URL"
            hint = (
                "Call POST /rpc/<function>, or /auth/v1/..., /files/, /content/<file>, or open"
                " /realtime/v1/websocket or /events/<topic>."
            )
        case 405:
            code, message = "PGRST101", "Cannot use this method here"
            hint = f"Use {error.headers.get(hdrs.ALLOW, 'another one')}."
        case 413:
            code, message = "HTTP413", "The body is too large."
            hint = f"Send at most {settings.max_body_bytes} bytes."
        case _:
            code, message = f"HTTP{error.status}", error.reason
            hint = "Look at the request."
    return RoostError(code=code, message=message, details=None, hint=hint, status=error.status)


def _answering(settings: Settings) -> Callable[[Handler], Handler]:
    """Wraps a handler with what all answers have in common: request id, CORS, errors as JSON.

    Not a middleware: aiohttp takes one more coroutine a request to run any, and some lookups.
    """
    prefix = secrets.token_hex(4)
    numbers = itertools.count(1)
    any_origin = "*" in settings.cors_origins
    origins = frozenset(settings.cors_origins)
    debug = logger.isEnabledFor(logging.DEBUG)

    async def answer(handler: Handler, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        given = headers.get("X-Request-Id")
        if given is None or REQUEST_ID.fullmatch(given) is None:
            given = f"{prefix}-{next(numbers)}"
        request_id.set(given)
        response: web.StreamResponse
        if request.method == hdrs.METH_OPTIONS and "Access-Control-Request-Method" in headers:
            response = web.Response(headers=CORS_HEADERS)
        else:
            try:
                response = await handler(request)
            except RoostError as error:
                response = error_response(error)
            except web.HTTPException as error:
                response = error_response(_from_http(error, settings))
            except ConnectionError:
                # The client is gone; there is nobody to answer.
                raise
            except Exception:
                logger.exception("unexpected error in %s %s", request.method, request.path)
                response = error_response(INTERNAL_ERROR)
        if not response.prepared:
            said = response.headers
            said["X-Request-Id"] = given
            if not any_origin:
                said["Vary"] = "Origin"
            # Only browsers ask from another origin, and only they look at the answer to that.
            origin = headers.get(hdrs.ORIGIN)
            if origin is not None and (any_origin or origin in origins):
                said["Access-Control-Allow-Origin"] = "*" if any_origin else origin
                said["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if debug:
            # Without the query, which may have a token.
            logger.debug("%s %s %s", request.method, request.path, response.status)
        return response

    return lambda handler: functools.partial(answer, handler)


def _add_routes(app: web.Application, settings: Settings, routes: Iterable[web.RouteDef]) -> None:
    """Adds the routes, and answers in the same form for every other method and path."""
    answering = _answering(settings)
    methods: dict[str, set[str]] = {}
    for route in routes:
        web.RouteDef(route.method, route.path, answering(route.handler), route.kwargs).register(
            app.router
        )
        methods.setdefault(route.path, set()).add(route.method)
    for path, allowed in methods.items():
        if hdrs.METH_ANY not in allowed:
            app.router.add_route(
                hdrs.METH_ANY, path, answering(functools.partial(_refuse_method, allowed))
            )
    # A decoded path may have line breaks, which a dot does not match.
    app.router.add_route(hdrs.METH_ANY, r"/{path:[\s\S]*}", answering(_refuse_path))


async def _refuse_method(allowed: set[str], request: web.Request) -> web.StreamResponse:
    raise web.HTTPMethodNotAllowed(request.method, allowed)


async def _refuse_path(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


async def _health(request: web.Request) -> web.Response:
    """GET /health: 200 when a call would go through, 503 when the database does not answer."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    await request.app[MULTIPLEXER].call(SELECT_ONE, (), None)
    return web.json_response(
        {
            "name": "Roost",
            "version": version("roost"),
            "database": "ok",
            "response_ms": round((loop.time() - started) * 1000, 3),
        }
    )


@asynccontextmanager
async def open_app(
    settings: Settings,
    conninfo: str,
    link: HostLink | None = None,
    *,
    passwords: Passwords | None = None,
) -> AsyncIterator[web.Application]:
    """The whole server as an aiohttp application, with everything open that it needs.

    Opened before the application is made, not in its cleanup_ctx: the key of the tokens and the
    functions come from the database, and aiohttp takes no routes once it is starting.

    conninfo -- libpq connection string of a migrated database
    link -- to the hub of this host, for one worker of several: what a host does once is done there
    passwords -- other parameters than RFC 9106's; closed with the rest
    Raises DatabaseUnavailable when the database does not answer.
    """
    async with AsyncExitStack() as stack:
        multiplexer = Multiplexer(
            conninfo,
            connections=settings.db_connections,
            slow_connections=SLOW_CONNECTIONS,
            depth=PIPELINE_DEPTH,
            connect_timeout=CONNECT_TIMEOUT,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        await multiplexer.open()
        stack.push_async_callback(multiplexer.close, CLOSE_SECONDS)

        secret = settings.jwt_secret or await read_server_secret(multiplexer, "access_token")
        tokens = AccessTokens(secret, settings.access_token_seconds)
        relay = Relay(
            multiplexer, tokens, settings, statuses=lambda: rpc.catalogue.statuses, link=link
        )
        multiplexer.on_touched = relay.wake
        rpc = Rpc(multiplexer, await load_catalogue(multiplexer), tokens)
        auth = await Auth.open(
            multiplexer,
            tokens,
            settings,
            catalogue=lambda: rpc.catalogue,
            passwords=passwords,
        )
        stack.callback(auth.close)

        transactions = Transactions(
            conninfo,
            connections=settings.file_connections,
            connect_timeout=CONNECT_TIMEOUT,
            statement_timeout_ms=settings.statement_timeout_ms,
        )
        transactions.on_touched = relay.wake
        stack.push_async_callback(transactions.close)
        files = Files(
            transactions,
            tokens,
            await read_server_secret(multiplexer, "file_link"),
            catalogue=lambda: rpc.catalogue,
        )
        stack.push_async_callback(files.close, CLOSE_SECONDS)

        offline_worker = OfflineWorker(multiplexer, counts=settings.has_metrics)
        collectors: list[Collector] = [RelayCollector(relay)]
        if link is None:
            collectors.append(OfflineCollector(offline_worker.figures))
        metrics = Metrics(settings, *collectors, host=None if link is None else link.all_figures)
        app = web.Application(client_max_size=settings.max_body_bytes)
        app[MULTIPLEXER] = multiplexer
        app[RELAY] = relay
        _add_routes(
            app,
            settings,
            [
                *rpc.routes(),
                *auth.routes(),
                *files.routes(),
                *relay.routes(),
                *metrics.routes(),
                web.get("/health", _health),
            ],
        )

        await relay.start()

        # Before the requests in flight are waited for, since sockets would never end by themselves.
        async def drain(_app: web.Application) -> None:
            await relay.close()

        app.on_shutdown.append(drain)
        functions = _Functions(multiplexer, rpc)
        if link is None:
            listener = listen(conninfo, relay.on_notify, relay.on_reconnect, functions.reload)
            stack.push_async_callback(listener.close)
            jobs = Jobs(multiplexer)
            jobs.start()
            stack.push_async_callback(jobs.close)
            offline_worker.start()
            stack.push_async_callback(offline_worker.close)
        else:
            link.begin(relay, functions.reload, metrics.own)
            # What was said before went past it.
            functions.reload()
        yield app


def listen(
    conninfo: str,
    on_notify: Callable[[str], None],
    on_connect: Callable[[], None],
    reload: Callable[[], None],
) -> Listener:
    """Begins to listen to what other servers, psql and migrations tell through NOTIFY.

    on_notify -- is called with what was said about events
    on_connect -- is called when something may have been said that nobody heard
    reload -- is called when functions may have changed
    """

    def notified(channel: str, payload: str) -> None:
        if channel == EVENTS_CHANNEL:
            on_notify(payload)
        else:
            reload()

    def connected() -> None:
        on_connect()
        reload()

    listener = Listener(
        conninfo, (EVENTS_CHANNEL, SCHEMA_CHANNEL), on_notify=notified, on_connect=connected
    )
    listener.start()
    return listener


class _Functions:
    """The functions that can be called, as they are in the database now."""

    def __init__(self, multiplexer: Multiplexer, rpc: Rpc) -> None:
        self._multiplexer = multiplexer
        self._rpc = rpc
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False

    def reload(self) -> None:
        """Reads the catalogue again; several requests during a reading become one more."""
        if self._reloading is not None and not self._reloading.done():
            self._reload_again = True
            return
        self._reloading = asyncio.create_task(self._read_catalogue())

    async def _read_catalogue(self) -> None:
        while True:
            self._reload_again = False
            try:
                self._rpc.catalogue = await load_catalogue(self._multiplexer)
            except RoostError as error:
                # The old one goes on serving. When a lost connection is back, this comes again.
                logger.warning("the functions could not be read again: %s", error)
            if not self._reload_again:
                return


def address_of(name: tuple[Any, ...]) -> str:
    """The URL of a socket's name."""
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


def _allow_open_files() -> None:
    """Takes as many open files as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError) as error:
            # macOS has a lower limit that it does not tell.
            logger.warning("the limit of open files stays at %d: %s", soft, error)


async def _stop(runner: web.AppRunner, relay: Relay) -> None:
    """Sockets first, while all is answered as before: aiohttp reads nothing more from any of them
    once it cleans up, not even the answer to a close frame.
    """
    try:
        for site in list(runner.sites):
            await site.stop()
        await relay.drain()
        await runner.cleanup()
    except asyncio.CancelledError:
        relay.abort()
        raise


async def run(
    settings: Settings,
    conninfo: str,
    announce: Callable[[str], None],
    link: HostLink | None = None,
) -> None:
    """Serves until it is cancelled, then drains: sockets are told to come back, calls finish. Ends
    at once when it is cancelled again.

    announce -- called with the address once requests are taken
    link -- for one worker of several, which share the port
    Raises OSError when the address can't be had, DatabaseUnavailable when there is no database.
    """
    _allow_open_files()
    async with open_app(settings, conninfo, link) as app:
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=DRAIN_SECONDS
        )
        await runner.setup()
        try:
            site = web.TCPSite(
                runner,
                settings.host,
                settings.port,
                backlog=BACKLOG,
                reuse_port=link is not None or None,
            )
            await site.start()
            # What is there now stays, so the collector need not look at it again; and a request
            # makes some hundred objects that end with it, so to look after every 700 finds nothing.
            # Measured with 16 clients: 2 to 5 % more calls a second.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 50, 100)
            announce(address_of(runner.addresses[0]))
            await asyncio.get_running_loop().create_future()
        finally:
            await _stop(runner, app[RELAY])
