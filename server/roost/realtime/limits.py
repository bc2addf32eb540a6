"""What a socket and a person may ask of this server, and what they are told when it is too much.

Every rate may be exceeded for a moment: up to ten seconds' worth may come at once. What is over is
refused with an error that names the setting and says when to try again, and nothing is closed. A
client that goes on regardless is no longer refused but read more slowly, as fast as it is allowed;
so it is its own connection that fills up. Heartbeats and leaves are never refused.

The limits are each server's: a person who is connected to two has twice as much. No bucket has a
timer; what has come into it is worked out when it is looked at.
"""

from collections.abc import Callable
from typing import Final

from roost.errors import RoostError
from roost.settings import Settings

BURST_SECONDS: Final = 10.0

# So many refusals are told, and one more every ten seconds, before a socket is read more slowly.
MOST_REFUSALS: Final = 100
REFUSALS_PER_SECOND: Final = 0.1
# At most so long at a time, that a socket does not count as silent.
LONGEST_PAUSE: Final = 10.0

MESSAGES: Final = "MessagePerSecondRateLimitReached"
JOINS: Final = "ClientJoinRateLimitReached"
CHANNELS: Final = "ChannelRateLimitReached"
SOCKETS: Final = "ConnectionRateLimitReached"


class Bucket:
    """A token bucket: `rate` tokens come into it a second, and it holds `most`. Rate 0 is no limit.

    What is larger than the bucket may be taken from a full one. More can be taken than there is,
    by who has waited; the others wait for that too.
    """

    __slots__ = ("_at", "_most", "_rate", "_tokens")

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = self._tokens = most
        self._at = now

    def missing(self, number: float, now: float) -> float:
        """Seconds until so many tokens can be taken; 0 when they can be now."""
        if not self._rate:
            return 0.0
        self._fill(now)
        return max(0.0, (min(number, self._most) - self._tokens) / self._rate)

    def take(self, number: float) -> None:
        """Takes tokens, whether they are there or not. Call missing() first."""
        self._tokens -= number

    def is_full(self, now: float) -> bool:
        """Whether it is as if nothing had ever been taken."""
        if not self._rate:
            return True
        self._fill(now)
        return self._tokens >= self._most

    def _fill(self, now: float) -> None:
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Rates:
    """The buckets of a socket, or of a person.

    scope -- which of the two, as in the names of the settings
    """

    __slots__ = ("_limits", "bytes", "joins", "messages", "scope", "sockets")

    def __init__(self, limits: "Limits", scope: str, now: float) -> None:
        self._limits = limits
        self.scope = scope
        # Of a person: how many are open.
        self.sockets = 0
        self.joins = self._bucket("joins_per_second", now)
        self.messages = self._bucket("messages_per_second", now)
        self.bytes = self._bucket("bytes_per_second", now)

    def _bucket(self, what: str, now: float) -> Bucket:
        rate = self._limits.of(self.scope, what)
        return Bucket(rate, rate * BURST_SECONDS, now)

    def is_full(self, now: float) -> bool:
        """Whether there is nothing to remember."""
        return not self.sockets and all(
            bucket.is_full(now) for bucket in (self.joins, self.messages, self.bytes)
        )

    def too_many(self, size: int, now: float, number: int = 1) -> "Excess | None":
        """What a message of so many bytes is over, if anything, or so many of them together."""
        wait = self.messages.missing(number, now)
        if wait:
            return self._excess(MESSAGES, "sends too many messages", "messages_per_second", wait)
        wait = self.bytes.missing(size, now)
        if wait:
            return self._excess(MESSAGES, "sends too many bytes", "bytes_per_second", wait)
        return None

    def too_many_joins(self, now: float) -> "Excess | None":
        """What one more join is over, if anything."""
        wait = self.joins.missing(1, now)
        if wait:
            return self._excess(JOINS, "joins too often", "joins_per_second", wait)
        return None

    def _excess(self, code: str, does: str, what: str, wait: float) -> "Excess":
        whose = "The socket" if self.scope == "socket" else "The person, on all sockets together,"
        return Excess(code, f"{whose} {does}.", self._limits.named(self.scope, what), wait)


class Excess:
    """That something is over a limit.

    limit -- the setting and its value
    wait -- seconds until it can be tried again
    """

    __slots__ = ("_code", "_limit", "_message", "wait")

    def __init__(self, code: str, message: str, limit: str, wait: float) -> None:
        self._code = code
        self._message = message
        self._limit = limit
        self.wait = wait

    def error(self) -> RoostError:
        """As the client is told."""
        return RoostError(
            code=self._code,
            message=self._message,
            details=self._limit,
            hint=f"Try again in {max(self.wait, 0.01):.2f} seconds.",
            status=429,
        )


class Limits:
    """Of one server.

    channels -- of a socket; 0 is no limit, as everywhere
    frame_bytes -- the largest frame of a client
    unsent_bytes -- events that would make a connection hold more are not written; its channels go
        on from the log when there is room. Only an event that is larger by itself exceeds it
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.channels = settings.realtime_socket_channels
        self.frame_bytes = settings.realtime_frame_bytes
        self.unsent_bytes = settings.realtime_unsent_bytes
        self.clock = clock
        self._settings = settings
        self._people: dict[str, Rates] = {}

    def of(self, scope: str, what: str) -> int:
        """The value of a setting."""
        value: int = getattr(self._settings, f"realtime_{scope}_{what}")
        return value

    def named(self, scope: str, what: str) -> str:
        """A setting as an operator knows it, and its value."""
        name = f"ROOST_REALTIME_{scope}_{what}".upper()
        return f"{name} is {self.of(scope, what)}."

    def person(self, user_id: str) -> Rates:
        """The buckets of a person."""
        rates = self._people.get(user_id)
        if rates is None:
            rates = self._people[user_id] = Rates(self, "user", self.clock())
        return rates

    def send(self, user_id: str, number: int, size: int) -> None:
        """Counts messages that come without a socket, of so many bytes together. Raises RoostError
        when they are over a limit.
        """
        person = self.person(user_id)
        excess = person.too_many(size, self.clock(), number)
        if excess is not None:
            raise excess.error()
        person.messages.take(number)
        person.bytes.take(size)

    def forget(self) -> None:
        """Forgets who is not connected and has used up nothing. To be called now and then."""
        now = self.clock()
        for user_id in [name for name, rates in self._people.items() if rates.is_full(now)]:
            del self._people[user_id]

    def too_many_channels(self, number: int) -> RoostError | None:
        """What a socket that has so many channels is told when it joins one more."""
        if not self.channels or number < self.channels:
            return None
        return RoostError(
            code=CHANNELS,
            message=f"A socket has at most {self.channels} channels.",
            details=self.named("socket", "channels"),
            hint="Leave a channel first, or open another socket.",
            status=429,
        )


class Allowance:
    """What a socket has left, and the people who speak over it."""

    __slots__ = ("_limits", "_patience", "_people", "_rates")

    def __init__(self, limits: Limits) -> None:
        now = limits.clock()
        self._limits = limits
        self._rates = Rates(limits, "socket", now)
        self._patience = Bucket(REFUSALS_PER_SECOND, MOST_REFUSALS, now)
        self._people: dict[str, Rates] = {}

    def message(self, size: int, user_id: str | None) -> Excess | None:
        """Counts a message of so many bytes, unless it is over a limit.

        user_id -- whose channel it is for; None where it is for none
        """
        now = self._limits.clock()
        whose = self._whose(user_id)
        for rates in whose:
            excess = rates.too_many(size, now)
            if excess is not None:
                return excess
        self._take(whose, size)
        return None

    def late_message(self, size: int, user_id: str | None) -> None:
        """Counts a message for which its socket has waited."""
        self._take(self._whose(user_id), size)

    def _whose(self, user_id: str | None) -> list[Rates]:
        rates = [self._rates]
        if user_id is not None:
            rates.append(self._limits.person(user_id))
        return rates

    def _take(self, whose: list[Rates], size: int) -> None:
        for rates in whose:
            rates.messages.take(1)
            rates.bytes.take(size)

    def is_patient(self) -> bool:
        """Whether one more refusal may be told; otherwise the socket is to be read more slowly."""
        if self._patience.missing(1, self._limits.clock()):
            return False
        self._patience.take(1)
        return True

    def too_many_joins(self, user_id: str | None) -> Excess | None:
        """What one more join is over, if anything; user_id is None where it is not known yet."""
        now = self._limits.clock()
        for rates in self._whose(user_id):
            excess = rates.too_many_joins(now)
            if excess is not None:
                return excess
        return None

    def join(self, user_id: str) -> None:
        """Counts a join. Raises RoostError when it is over a limit."""
        excess = self.too_many_joins(user_id)
        if excess is not None:
            raise excess.error()
        person = self._limits.person(user_id)
        most = self._limits.of("user", "sockets")
        if user_id not in self._people:
            if most and person.sockets >= most:
                raise RoostError(
                    code=SOCKETS,
                    message=f"A person has at most {most} sockets.",
                    details=self._limits.named("user", "sockets"),
                    hint="Close another socket first.",
                    status=429,
                )
            # A socket is a person's from their first join to its end.
            self._people[user_id] = person
            person.sockets += 1
        for rates in (self._rates, person):
            rates.joins.take(1)

    def close(self) -> None:
        """The socket has ended. Harmless the second time."""
        for person in self._people.values():
            person.sockets -= 1
        self._people.clear()
