"""Which devices are there: written down for all of them at once, never for a heartbeat alone.

A session is connected here while a socket of it has joined something and a frame came over one of
them not long ago. Once or twice a second that is compared with what the database knows, and what
differs goes out in one call; so does, for whoever is quietly there, when they were last seen.

The server's own sign of life stands for all of its sockets: what it wrote counts for readers while
it beats, and the other servers clear it away when it does not.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from roost.database.pipeline import Multiplexer
from roost.database.queries import BEAT, FORGET_SERVERS, RECORD_PRESENCE
from roost.errors import RoostError
from roost.realtime.log import text_array
from roost.realtime.owners import Owners

if TYPE_CHECKING:
    from roost.realtime.outlet import Outlet

logger = logging.getLogger(__name__)

# A device that vanishes is to be offline within 45 seconds, and official clients send a heartbeat
# every 25 or 30. So 30 seconds and 10 for a slow network; then at most 2 until somebody looks and 1
# until it is written. Its socket stays open for longer (socket.IDLE_SECONDS): a client that is only
# slow is not cut off, and is online again with its next frame.
PRESENT_SECONDS: Final = 40.0
LOOK_SECONDS: Final = 2.0

TICK_SECONDS: Final = 0.5
# One call a second at most.
SPACING_SECONDS: Final = 1.0
# Whoever closes a socket is offline this much later, or in the next batch after that. Who has
# another one by then, as after reloading a page, has not been away.
GRACE_SECONDS: Final = 0.5
# How old the database's last_seen of a connected device may be.
SEEN_SECONDS: Final = 30.0
# Sessions in one call; measured on one core: 200 ms for 2,000 that come, 45 ms for 2,000 that were
# seen.
MOST_RECORDED: Final = 2_000

# Readers count on a sign of life in 30 seconds (roost.living_servers). Dead servers are looked for
# as often, so their devices are announced as offline within 35 seconds.
BEAT_SECONDS: Final = 5.0
MOST_FORGOTTEN: Final = 500


class _State:
    """What the database knows of a session.

    connected -- whether it has it as connected to this server
    seen_at -- when something came last, as far as it was written
    missed_at -- when the session was first found without a socket
    """

    __slots__ = ("connected", "missed_at", "seen_at")

    def __init__(self) -> None:
        self.connected = False
        self.missed_at: float | None = None
        self.seen_at = -math.inf


class _Change(NamedTuple):
    session_id: str
    connected: bool
    seen_at: float


class DevicePresence:
    """Of the devices that are connected to this server.

    on_forgotten -- is called when the database knows nothing of this server (any more)
    """

    def __init__(
        self,
        multiplexer: Multiplexer,
        server_id: str,
        sessions: "Owners[Outlet]",
        on_forgotten: Callable[[], None],
    ) -> None:
        self._multiplexer = multiplexer
        self._server_id = server_id.encode()
        self._sessions = sessions
        self._on_forgotten = on_forgotten
        self._states: dict[str, _State] = {}
        self._beat_at = self._looked_at = self._recorded_at = -math.inf
        self._version = -1

    async def start(self) -> None:
        """Makes the server known. Raises DatabaseError, DatabaseUnavailable."""
        await self._beat(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Keeps the database up to date, for ever."""
        loop = asyncio.get_running_loop()
        failed = False
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                now = loop.time()
                if now - self._beat_at >= BEAT_SECONDS:
                    await self._beat(now)
                    await self._forget(None)
                if now - self._recorded_at >= SPACING_SECONDS:
                    changes = self.changes(now)
                    if changes:
                        self._recorded_at = now
                        await self._record(changes, now)
            except RoostError as error:
                # Once each time that it breaks, then quietly; it is tried again with every tick.
                level = logging.DEBUG if failed else logging.WARNING
                logger.log(level, "cannot write down who is there, trying again: %s", error)
                failed = True
            except Exception:
                logger.exception("unexpected error of presence, trying again")
            else:
                failed = False

    async def close(self, seconds: float) -> None:
        """Says that all are gone. What takes longer is left to the other servers; readers know it
        at once.
        """
        try:
            async with asyncio.timeout(seconds):
                while await self._forget(self._server_id):
                    pass
        except TimeoutError:
            logger.warning("not all devices could be marked as offline in time")
        except RoostError as error:
            logger.warning("cannot mark devices as offline: %s", error)

    def changes(self, now: float) -> list[_Change]:
        """What the database does not know yet, first whoever comes and goes; now is the loop's
        clock.
        """
        if self._version == self._sessions.version and now - self._looked_at < LOOK_SECONDS:
            return []
        version, self._looked_at = self._sessions.version, now
        moved: list[_Change] = []
        seen: list[_Change] = []
        waiting = False
        for session_id, outlets in self._sessions.items():
            heard_at = max(outlet.heard_at for outlet in outlets)
            present = now - heard_at <= PRESENT_SECONDS
            state = self._states.get(session_id)
            if state is None:
                if not present:
                    continue
                state = self._states[session_id] = _State()
            state.missed_at = None
            if present != state.connected:
                moved.append(_Change(session_id, present, heard_at))
            elif present and now - state.seen_at >= SEEN_SECONDS:
                seen.append(_Change(session_id, True, heard_at))
        for session_id in self._states.keys() - self._sessions.keys():
            state = self._states[session_id]
            if not state.connected:
                del self._states[session_id]
                continue
            if state.missed_at is None:
                state.missed_at = now
            if now - state.missed_at >= GRACE_SECONDS:
                moved.append(_Change(session_id, False, state.missed_at))
            else:
                waiting = True
        changes = moved + seen
        # What is left over is looked at with the next tick again.
        self._version = -1 if waiting or changes else version
        return changes[:MOST_RECORDED]

    async def _record(self, changes: list[_Change], now: float) -> None:
        ((skipped, _),) = await self._multiplexer.call(
            RECORD_PRESENCE,
            (
                self._server_id,
                text_array(change.session_id for change in changes),
                text_array("t" if change.connected else "f" for change in changes),
                text_array(repr(max(0.0, now - change.seen_at)) for change in changes),
            ),
            None,
        )
        if skipped is None:
            # Other servers took this one for dead.
            self._states.clear()
            self._beat_at = -math.inf
            return
        again = frozenset(skipped.decode().strip("{}").split(","))
        for change in changes:
            state = self._states.get(change.session_id)
            if state is not None and change.session_id not in again:
                state.connected = change.connected
                state.seen_at = now

    async def _beat(self, now: float) -> None:
        ((is_new,),) = await self._multiplexer.call(BEAT, (self._server_id,), None)
        self._beat_at = now
        if is_new == b"t":
            self._states.clear()
            self._version = -1
            self._on_forgotten()

    async def _forget(self, server_id: bytes | None) -> bool:
        """Clears away what dead servers have left, a piece of it. Returns whether there is more."""
        ((left, _),) = await self._multiplexer.call(
            FORGET_SERVERS, (server_id, b"%d" % MOST_FORGOTTEN), None
        )
        return left != b"0"
