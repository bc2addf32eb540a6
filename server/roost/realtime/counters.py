"""What the relay counts: plain numbers, since some are counted a million times a second."""

from bisect import bisect_left
from collections import Counter
from typing import Final

# In seconds. Below the first is what a topic with a few sockets takes.
LATENCY_BOUNDS: Final = (
    *(0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0),
)


class Histogram:
    """How many values are up to each bound, and above the last."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Takes in a value."""
        self._counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """How many values there are up to each bound, as Prometheus has it."""
        total = 0
        buckets = []
        for bound, count in zip((*map(str, LATENCY_BOUNDS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class Counters:
    """
    events -- stored events that were read for those who are live
    ephemerals -- ephemeral events that were passed on
    deliveries -- events that were written to a connection from these, one for each channel
    caught_up -- events that were written to a connection from the log, one for each channel
    mentions -- ephemeral events that were written, one for each channel
    dropped -- ephemeral events that were not, since a client did not read
    bytes -- of all these
    evictions -- times that a channel had to go on from the log, since its client did not read
    joins, replays -- joins that were allowed, and those of them that asked for a replay
    refused -- requests that were over a limit, by code
    pauses -- times that a socket was read more slowly
    closed -- sockets that the server has closed, by code
    wake_to_write -- seconds from the announcement of events to their last write to who is live
    event_to_write -- seconds from when an event was written in the database to the same
    """

    __slots__ = (
        "bytes",
        "caught_up",
        "closed",
        "deliveries",
        "dropped",
        "ephemerals",
        "event_to_write",
        "events",
        "evictions",
        "joins",
        "mentions",
        "pauses",
        "refused",
        "replays",
        "wake_to_write",
    )

    def __init__(self) -> None:
        self.events = self.ephemerals = 0
        self.deliveries = self.caught_up = self.mentions = 0
        self.dropped = self.bytes = self.evictions = 0
        self.joins = self.replays = self.pauses = 0
        self.refused: Counter[str] = Counter()
        self.closed: Counter[int] = Counter()
        self.wake_to_write = Histogram()
        self.event_to_write = Histogram()
