"""The relay's figures as Prometheus reads them; what they mean is in docs/reference/metrics.md."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from roost.realtime.hub import Hub
from roost.realtime.relay import Relay

_PREFIX: Final = "roost_realtime"


class RelayCollector(Collector):
    """Reads the figures when they are asked for: until then they are plain numbers."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        outlets = list(self._relay.outlets)
        counters = self._relay.counters
        yield _gauge("sockets", "Open connections that events are written to.", len(outlets))
        yield _gauge(
            "channels",
            "Topics joined, counted for each connection.",
            sum(outlet.channel_count for outlet in outlets),
        )
        yield _gauge("topics", "Topics that somebody listens to.", self._relay.topic_count)
        yield _gauge(
            "unsent_bytes",
            "Bytes written to connections that their clients have not taken yet.",
            sum(outlet.unsent_bytes for outlet in outlets),
        )
        yield _counter(
            "events",
            "Events passed on, once each however many hear them.",
            "kind",
            {"stored": counters.events, "ephemeral": counters.ephemerals},
        )
        yield _counter(
            "deliveries",
            "Events written to connections, once for each channel.",
            "kind",
            {
                "live": counters.deliveries,
                "caught_up": counters.caught_up,
                "ephemeral": counters.mentions,
            },
        )
        yield _counter("delivered_bytes", "Bytes of these deliveries.", value=counters.bytes)
        yield _counter(
            "evictions",
            "Times that a channel had to go on from the log, since its client did not read.",
            value=counters.evictions,
        )
        yield _counter(
            "dropped",
            "Ephemeral events not written, since the client did not read.",
            value=counters.dropped,
        )
        yield _counter("joins", "Joins allowed.", value=counters.joins)
        yield _counter("replays", "Joins allowed that had a replay.", value=counters.replays)
        yield _counter(
            "refused", "Requests refused for being over a limit.", "code", counters.refused
        )
        yield _counter(
            "pauses",
            "Times that a socket was read later, since its client went on after refusals.",
            value=counters.pauses,
        )
        yield _counter(
            "closed",
            "WebSockets closed by the server.",
            "code",
            {str(code): number for code, number in counters.closed.items()},
        )
        yield HistogramMetricFamily(
            f"{_PREFIX}_wake_to_write_seconds",
            "From hearing that a topic has events to their last write to whoever is live in it.",
            buckets=counters.wake_to_write.buckets(),
            sum_value=counters.wake_to_write.sum,
        )
        yield HistogramMetricFamily(
            f"{_PREFIX}_event_to_write_seconds",
            "From when an event was written in its transaction to its last write to whoever is"
            " live.",
            buckets=counters.event_to_write.buckets(),
            sum_value=counters.event_to_write.sum,
        )


class HubCollector(Collector):
    """The same for what the workers of a host have in common."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield _counter(
            "log_queries", "Reads of the log for all workers.", value=self._hub.log.queries
        )
        yield _counter(
            "log_shared",
            "Topics answered to a worker from what another one has read.",
            value=self._hub.log.shared,
        )
        yield _gauge(
            "hub_unsent_bytes",
            "Bytes that the workers have not taken from the hub yet.",
            self._hub.unsent_bytes,
        )


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", meaning, value=value)


def _counter(
    name: str,
    meaning: str,
    label: str | None = None,
    values: Mapping[str, int] | None = None,
    *,
    value: int | None = None,
) -> Metric:
    if label is None:
        return CounterMetricFamily(f"{_PREFIX}_{name}", meaning, value=value)
    family = CounterMetricFamily(f"{_PREFIX}_{name}", meaning, labels=[label])
    for which, number in (values or {}).items():
        family.add_metric([which], number)
    return family
