"""The relay: takes sockets in, learns what is new and passes it on.

News comes from the calls of this server (`wake`), from other servers and from writers without one
(`on_notify`, through PostgreSQL's NOTIFY), and, should any of that be lost, from a slow poll. News
is only ever "this topic has something": what it is stands in the log, and is read from there.
Ephemeral events alone are carried by what announces them, since they are in no log.
"""

import asyncio
import logging
import random
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any, Final

from aiohttp import WSCloseCode, hdrs, web

from roost.database.pipeline import Multiplexer
from roost.database.queries import (
    FIND_ENDED_SESSIONS,
    MAINTAIN_PARTITIONS,
)
from roost.errors import DatabaseError, RoostError
from roost.realtime.acknowledgements import Acknowledgements
from roost.realtime.announcer import Announcer, Announces
from roost.realtime.broadcast_requests import BroadcastRequests
from roost.realtime.broadcasts import Broadcasts
from roost.realtime.compression import Inflater, accepted
from roost.realtime.counters import Counters
from roost.realtime.device_presence import DevicePresence
from roost.realtime.event_stream import EventStream, Positions
from roost.realtime.fanout import RETRY_SECONDS, Fanout
from roost.realtime.host_link import HostLink
from roost.realtime.join import read_query, topic_name
from roost.realtime.limits import Allowance, Limits
from roost.realtime.lines import EPHEMERAL, split_lines
from roost.realtime.log import text_array, told_event
from roost.realtime.outbox import Outbox
from roost.realtime.outlet import CLOSE_SECONDS, Outlet, Services
from roost.realtime.owners import Owners
from roost.realtime.presence import Presence
from roost.realtime.protocol import VERSIONS
from roost.realtime.refusals import presentable, restarting, sign_in_required
from roost.realtime.socket import Socket
from roost.settings import Settings
from roost.tokens import AccessTokens, bearer_token

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0

# Safety nets for a NOTIFY that never came.
POLL_SECONDS: Final = 10.0
SESSION_CHECK_SECONDS: Final = 30.0

MAINTENANCE_SECONDS: Final = 3_600.0
# After a failure, mostly a lock that did not come free.
MAINTENANCE_RETRY_SECONDS: Final = 60.0
# What is due after a long pause is done in turns: the start waits for the first, since an event
# that comes before its day has a partition keeps the day from getting one.
MAINTENANCE_TURN_SECONDS: Final = 2.0
MAINTENANCE_PAUSE_SECONDS: Final = 1.0

# How long clients have to answer the close frame when the server stops, after the last was told.
DRAIN_SECONDS: Final = 0.5
# Told as fast as this, clients come back no faster than a server takes them in; so few sockets are
# through sooner than the setting says.
MOST_TOLD_PER_SECOND: Final = 250

# How long it may take then to say who is offline with it, and to tell the other servers.
PARTING_SECONDS: Final = 0.5

_SESSION: Final = "!session:"
_DEVICE: Final = "!device:"
_SUBSCRIPTIONS: Final = "!subscriptions:"

# How lines begin that name no topic.
_NO_TOPIC: Final = ("!", EPHEMERAL)


class Relay:
    """One a server process. What tells it news returns without waiting."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        tokens: AccessTokens,
        settings: Settings,
        statuses: Callable[[], Mapping[str, int]] = dict,
        link: HostLink | None = None,
    ) -> None:
        """
        statuses -- gives the HTTP statuses of Roost's own errors at that moment
        link -- to the hub of this host, where there is one: it listens, announces and reads
        """
        self._multiplexer = multiplexer
        self._statuses = statuses
        self._origins = settings.cors_origins
        self._node_id = secrets.token_hex(8)
        self._settings = settings
        self.counters = Counters()
        self._limits = Limits(settings, time.monotonic)
        self._fanout = Fanout(multiplexer, self.counters, None if link is None else link.ask)
        self._announcer: Announces = link or Announcer(multiplexer, self._node_id)
        self._broadcasts = Broadcasts(multiplexer, self._fanout, self._announcer)
        self._sessions: Owners[Outlet] = Owners()
        self._people: Owners[Outlet] = Owners()
        server_id = str(uuid.uuid4())
        self._presence = Presence(multiplexer, server_id, self._fanout, self._announcer.announce)
        self._devices = DevicePresence(
            multiplexer, server_id, self._sessions, self._presence.write_all
        )
        self._services = Services(
            multiplexer,
            tokens,
            self._fanout,
            self._broadcasts,
            self._presence,
            self._sessions,
            self._people,
            Acknowledgements(multiplexer),
            asyncio.Semaphore(max(1, settings.db_connections // 4)),
            self._limits,
            self.counters,
            Outbox(),
        )
        self._outlets: set[Outlet] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # Checks of epoch and sessions: one at a time, and whether another one waits to begin.
        self._rechecking = asyncio.Lock()
        self._recheck_waits = False
        # Reads of event subscriptions that have not begun.
        self._unread_rules: set[tuple[Outlet, str]] = set()
        self._closing = False

    # --- lifetime ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to relay. Raises DatabaseError, DatabaseUnavailable."""
        await self._fanout.check_epoch()
        await self._devices.start()
        pause = await self._maintain_partitions()
        self._keeper = self._spawn(self._devices.run())
        self._spawn(self._presence.tell_watchers())
        self._spawn(self._presence.read())
        self._spawn(self._presence.write())
        self._spawn(self._fanout.run())
        self._spawn(self._fanout.mention())
        self._spawn(self._broadcasts.run())
        self._spawn(self._announcer.run())
        self._spawn(_every(POLL_SECONDS, self._poll))
        self._spawn(_every(SWEEP_SECONDS, self._sweep))
        self._spawn(_every(SESSION_CHECK_SECONDS, self._check_sessions))
        self._spawn(self._keep_partitions(pause))

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Closes every socket such that its client comes back, and takes no new ones. Does nothing
        the second time.

        Over some time and in no order, so that not all come back at once: each of them joins and
        reads what it has missed.

        seconds -- after them, whoever has not taken or answered its close frame is left to close()
        """
        if self._closing:
            return
        self._closing = True
        outlets = list(self._outlets)
        random.shuffle(outlets)
        spread = min(self._settings.realtime_drain_ms / 1000, len(outlets) / MOST_TOLD_PER_SECOND)
        loop = asyncio.get_running_loop()
        started = loop.time()
        closing = []
        for number, outlet in enumerate(outlets):
            pause = started + spread * number / len(outlets) - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            closing.append(
                self._spawn(outlet.close(WSCloseCode.SERVICE_RESTART, "The server restarts"))
            )
        if closing:
            await asyncio.wait(closing, timeout=seconds)

    async def close(self, seconds: float = DRAIN_SECONDS) -> None:
        """Drains, cuts off whoever is left, and ends all tasks."""
        try:
            await self.drain(seconds)
            for outlet in self._outlets:
                outlet.abort()
            await self._part()
        finally:
            self.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _part(self) -> None:
        """Says what is still to be said to the database and the other servers."""
        await self._services.acknowledgements.close(PARTING_SECONDS)
        if self._keeper is not None:
            # Before the rest, or it would make the server known again.
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            await self._devices.close(PARTING_SECONDS)
            # The other servers are told who has gone with this one.
            await self._announcer.close(PARTING_SECONDS)

    def abort(self) -> None:
        """Ends all connections and tasks at once."""
        self._closing = True
        for outlet in self._outlets:
            outlet.abort()
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the relay failed", exc_info=task.exception())

    # --- sockets ----------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        """Where clients connect, of Supabase, of Phoenix and without a library, and where they
        broadcast without a connection.
        """
        requests = BroadcastRequests(
            self._broadcasts, self._services.tokens, self._limits, self.counters
        )
        return [
            web.get("/realtime/v1/websocket", self.handle),
            web.get("/socket/websocket", self.handle),
            # A HEAD would last as long as the stream.
            web.get("/events/{topic:.+}", self.handle_stream, allow_head=False),
            *requests.routes(),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /realtime/v1/websocket?apikey=...&vsn=2.0.0, upgraded to a WebSocket.

        Any apikey will do; one that is an access token speaks for joins that bring none. Raises
        RoostError when the connection is refused.
        """
        self._refuse_when_closing()
        wanted = request.query.get("vsn", "1.0.0")
        version = VERSIONS.get(wanted)
        if version is None:
            raise RoostError(
                code="UnsupportedVersion",
                message="The server does not speak this version of the protocol.",
                details=f"vsn: {wanted}",
                hint=f"Set vsn to one of {', '.join(VERSIONS)}.",
                status=400,
            )
        origin = request.headers.get("Origin")
        if origin is not None and "*" not in self._origins and origin not in self._origins:
            # Browsers leave it to the server which pages may open a socket.
            raise RoostError(
                code="OriginNotAllowed",
                message="Pages of this origin may not connect.",
                details=f"Origin: {origin}",
                hint="Ask the operator to add it to ROOST_CORS_ORIGINS.",
                status=403,
            )
        ws = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            autoping=False,
            compress=False,
            max_msg_size=self._limits.frame_bytes,
        )
        if not ws.can_prepare(request):
            raise RoostError(
                code="UpgradeRequired",
                message="This address is for WebSockets.",
                details=None,
                hint="Open it as ws:// or wss://, with a WebSocket client.",
                status=426,
            )
        transport = request.transport
        if transport is None:
            return ws
        deflate_from = 0
        extensions = accepted(",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())))
        if extensions is not None and self._settings.realtime_compress_from_bytes:
            # Before the answer, from which on the client may send compressed frames.
            Inflater.install(transport, self._limits.frame_bytes)
            ws.headers[hdrs.SEC_WEBSOCKET_EXTENSIONS] = extensions
            deflate_from = self._settings.realtime_compress_from_bytes
        writer = await ws.prepare(request)
        apikey = request.headers.get("x-api-key") or request.query.get("apikey")
        socket = Socket(self._services, ws, writer, transport, version, apikey, deflate_from)
        self._outlets.add(socket)
        try:
            await socket.serve()
        finally:
            self._outlets.discard(socket)
        return ws

    async def handle_stream(self, request: web.Request) -> web.StreamResponse:
        """GET /events/<topic>: a stream of its events; after=<offset> or Last-Event-ID resume it.

        The access token is in the header Authorization or, for browsers, in access_token. Raises
        RoostError when the stream is refused.
        """
        self._refuse_when_closing()
        token = bearer_token(request.headers) or request.query.get("access_token")
        if token is None:
            raise sign_in_required("Sign in, and send the access token as a bearer token.")
        claims = self._services.tokens.verify(token)
        if claims.role != "user":
            raise sign_in_required("Sign in, and send the access token as a bearer token.")
        last_id = request.headers.get("Last-Event-ID") or request.query.get("last_event_id")
        last = None if last_id is None else Positions.read(last_id)
        replay = read_query(request.query) if last is None else last.replay()
        transport = request.transport
        response = web.StreamResponse(headers=self._stream_headers(request))
        if transport is None:
            return response
        name = topic_name(f"realtime:{request.match_info['topic']}")
        allowance = Allowance(self._limits)
        try:
            allowance.join(claims.user_id or "")
        except RoostError as error:
            self.counters.refused[error.code] += 1
            raise
        stream = EventStream(self._services, request.writer, transport, name, claims)
        self._outlets.add(stream)
        try:
            await stream.serve(request, response, last, replay)
        except DatabaseError as error:
            raise presentable(error, self._statuses()) from error
        finally:
            self._outlets.discard(stream)
            allowance.close()
        return response

    def _stream_headers(self, request: web.Request) -> dict[str, str]:
        """What is said with other answers after they are made, which is too late here."""
        headers = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            # nginx collects an answer before it passes it on, unless it is told not to.
            "X-Accel-Buffering": "no",
        }
        origin = request.headers.get("Origin")
        if origin is not None and "*" in self._origins:
            headers["Access-Control-Allow-Origin"] = "*"
        elif origin in self._origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Vary"] = "Origin"
        return headers

    def _refuse_when_closing(self) -> None:
        if self._closing:
            raise restarting()

    async def _sweep(self) -> None:
        """Looks after all connections, and ends channels whose token ran out.

        One pass over all instead of a timer for each.
        """
        now, loop_now = time.time(), asyncio.get_running_loop().time()
        for outlet in list(self._outlets):
            outlet.look_after(loop_now)
            outlet.expire(now)
        self._limits.forget()

    # --- figures ----------------------------------------------------------------------------------

    @property
    def outlets(self) -> Collection[Outlet]:
        """The connections that events are written to."""
        return self._outlets

    @property
    def topic_count(self) -> int:
        """How many topics somebody here has joined or is joining."""
        return self._fanout.topic_count

    # --- news -------------------------------------------------------------------------------------

    def wake(self, touched: str) -> None:
        """What a call of this server touched: a line for each topic, control message or ephemeral
        event.
        """
        lines = split_lines(touched)
        self.hear(lines)
        self._announcer.announce(lines)

    def on_notify(self, payload: str) -> None:
        """A notification on roost_events: the sender's node id, then lines as in wake().

        No lines stand for "anything": the sender had too many to say.
        """
        node_id, _, touched = payload.partition("\n")
        if node_id == self._node_id:
            return
        lines = split_lines(touched)
        if lines:
            self.hear(lines)
        else:
            self.look_at_everything()

    def on_reconnect(self) -> None:
        """Notifications may have been lost: looks at everything that they can be about.

        The database may have crashed, too.
        """
        self.look_at_everything()
        self._presence.write_all()

    def look_at_everything(self) -> None:
        """Anything may be new."""
        self._fanout.wake_all()
        self._presence.read_all()
        if not self._recheck_waits:
            self._recheck_waits = True
            self._spawn(self._recheck())
        for user_id in self._people.ids():
            self._read_rules(user_id)

    def hear(self, lines: Collection[str]) -> None:
        """Takes in what others have announced, or this server is about to."""
        for line in lines:
            if line.startswith(_SESSION):
                self._end_session(line.removeprefix(_SESSION))
            elif line.startswith(_DEVICE):
                self._change_device(line.removeprefix(_DEVICE))
            elif line.startswith(_SUBSCRIPTIONS):
                self._read_rules(line.removeprefix(_SUBSCRIPTIONS))
        self._presence.take(lines)
        # Topics first, so that no ephemeral event goes before what the log says already.
        news = [line for line in lines if not line.startswith(_NO_TOPIC)]
        self._fanout.tell([told_event(line) for line in news if "\t" in line])
        self._fanout.wake([line for line in news if "\t" not in line])
        for line in lines:
            if line.startswith(EPHEMERAL):
                self._broadcasts.take(line)

    def _end_session(self, session_id: str) -> None:
        for socket in self._sessions.sockets(session_id):
            self._spawn(socket.end_session(session_id))

    def _change_device(self, named: str) -> None:
        session_id, _, device_id = named.partition(":")
        for outlet in self._sessions.sockets(session_id):
            for user_id in outlet.change_device(session_id, device_id):
                self._read_rules(user_id)

    def _read_rules(self, user_id: str) -> None:
        for outlet in self._people.sockets(user_id):
            # A read that has not begun finds what is announced now, too.
            if (outlet, user_id) not in self._unread_rules:
                self._unread_rules.add((outlet, user_id))
                self._spawn(self._read_rules_of(outlet, user_id))

    async def _read_rules_of(self, outlet: Outlet, user_id: str) -> None:
        while True:
            try:
                async with self._services.catch_up_reads:
                    self._unread_rules.discard((outlet, user_id))
                    await outlet.read_rules(user_id)
            except RoostError as error:
                logger.warning("cannot read event subscriptions, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                if (outlet, user_id) not in self._unread_rules:
                    self._unread_rules.add((outlet, user_id))
                    continue
            return

    # --- looking after things ---------------------------------------------------------------------

    async def _poll(self) -> None:
        self._fanout.wake_all()

    async def _recheck(self) -> None:
        try:
            async with self._rechecking:
                self._recheck_waits = False
                await self._fanout.check_epoch()
                await self._check_sessions()
        except RoostError as error:
            logger.warning("cannot check epoch and sessions: %s", error)

    async def _check_sessions(self) -> None:
        """Closes the sockets of sessions that ended without a control line reaching this server."""
        session_ids = self._sessions.ids()
        if session_ids:
            rows = await self._multiplexer.call(
                FIND_ENDED_SESSIONS, (text_array(session_ids),), None
            )
            for (session_id,) in rows:
                self._end_session((session_id or b"").decode())

    async def _keep_partitions(self, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            pause = await self._maintain_partitions()

    async def _maintain_partitions(self) -> float:
        """Does what is due, a step a call, for a turn. Returns the seconds until the next turn."""
        loop = asyncio.get_running_loop()
        end = loop.time() + MAINTENANCE_TURN_SECONDS
        try:
            while loop.time() < end:
                ((left,),) = await self._multiplexer.call(MAINTAIN_PARTITIONS, (), None)
                if left == b"0":
                    return MAINTENANCE_SECONDS
        except RoostError as error:
            logger.warning("cannot maintain the partitions, trying again soon: %s", error)
            return MAINTENANCE_RETRY_SECONDS
        return MAINTENANCE_PAUSE_SECONDS


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Does something again and again, the first time after one interval."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except RoostError as error:
            logger.warning("%s: %s", work.__qualname__, error)
        except Exception:
            logger.exception("unexpected error in %s", work.__qualname__)
