"""GET /metrics, for Prometheus: what the server counts, to whom the operator lets see it.

How much is going on is nobody else's business, so without a setting there is no such address.
"""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from roost.errors import RoostError
from roost.settings import Settings

# A proxy on the same machine has a loopback address too, and adds one of these to what it passes on
# from others.
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Figures:
    """What one process counts, its memory, time and files included.

    collectors -- what there is to tell beside these
    """

    def __init__(self, *collectors: Collector) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        for collector in collectors:
            self.registry.register(collector)

    def text(self) -> str:
        """All of it, in OpenMetrics."""
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return text.decode()


class _OfAll(Collector):
    """What several processes count, each under its name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """
        texts -- of Figures.text(), by name
        """
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        families: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
                merged = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {"worker": worker, **sample.labels}
                    merged.samples.append(sample._replace(labels=labels))
        yield from families.values()


class Metrics:
    """The address, where there is one."""

    def __init__(
        self,
        settings: Settings,
        *collectors: Collector,
        host: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
    ) -> None:
        """
        collectors -- as for Figures
        host -- gives what all processes of the host count, by name; None is this one alone
        """
        self._loopback = settings.metrics == "loopback"
        self._token = settings.metrics_token
        self._figures = Figures(*collectors)
        self._host = host

    def own(self) -> str:
        """What this process counts."""
        return self._figures.text()

    def routes(self) -> list[web.RouteDef]:
        """None where nobody may see it."""
        return [web.get("/metrics", self.handle)] if self._loopback or self._token else []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /metrics. Raises RoostError for whoever may not see it."""
        if not (self._has_token(request) or (self._loopback and _is_local(request))):
            raise RoostError(
                code="MetricsNotAllowed",
                message="The metrics are the operator's.",
                details=None,
                hint="Send ROOST_METRICS_TOKEN as a bearer token."
                if self._token
                else "Ask from the machine that the server is on, not through a proxy.",
                status=401 if self._token else 403,
            )
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        registry = self._figures.registry
        if self._host is not None:
            registry = CollectorRegistry()
            registry.register(_OfAll(await self._host()))
        response = web.Response(body=encode(registry))
        response.headers[hdrs.CONTENT_TYPE] = content_type
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    def _has_token(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        return (
            self._token is not None
            and scheme.lower() == "bearer"
            # Header bytes that are not UTF-8 come as surrogates.
            and secrets.compare_digest(given.strip().encode(errors="replace"), self._token.encode())
        )


def _is_local(request: web.Request) -> bool:
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
