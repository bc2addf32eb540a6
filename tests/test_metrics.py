"""GET /metrics: who may see it, and that its figures are those of what happened."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from roost import offline_worker
from roost.app import open_app
from roost.realtime import device_presence
from roost.realtime.counters import LATENCY_BOUNDS, Histogram
from roost.realtime.protocol import Version
from roost.settings import Settings
from tests.relaying import Phone, join_payload
from tests.serving import Client

Serve = Callable[..., AbstractAsyncContextManager[Client]]
TOKEN = "0123456789abcdef"


async def status(client: Client, **headers: str) -> int:
    async with client.http.get(f"{client.url}/metrics", headers=headers) as answer:
        return answer.status


async def figures(client: Client) -> dict[str, float]:
    """Every sample, under its name and the values of its labels."""
    async with client.http.get(f"{client.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def listener(person: Client, *, after: int | None = None) -> Phone:
    """A socket that has joined the inbox of a person."""
    ws = await person.http.ws_connect(f"{person.url}/realtime/v1/websocket?vsn=2.0.0")
    phone = Phone(ws, Version.V2, None)
    replay = {} if after is None else {"replay": {"after": after}}
    joining = join_payload(person.token, **replay)
    ref = await phone.send(f"realtime:user:{person.user_id}", "phx_join", joining)
    assert (await phone.reply(ref))["status"] == "ok"
    return phone


async def test_nobody_sees_it_without_a_setting(client: Client) -> None:
    assert await status(client) == 404
    assert await status(client, Authorization="Bearer ") == 404


async def test_who_is_on_the_machine_sees_it(serve: Serve) -> None:
    async with serve(metrics="loopback") as client:
        assert await status(client) == 200
        # A proxy is on the machine too, and says for whom it asks.
        for header in ("Forwarded", "X-Forwarded-For", "x-real-ip", "Via"):
            assert await status(client, **{header: "127.0.0.1"}) == 403
        answer = await client.request("POST", "/metrics")
        assert answer.status == 405


async def test_an_address_that_is_no_loopback_does_not(database: str, tmp_path: Path) -> None:
    address = str(tmp_path / "socket")
    async with open_app(Settings(metrics="loopback"), database) as app:
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.UnixSite(runner, address).start()
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(address)) as http:
                assert await status(Client("http://roost", http)) == 403
        finally:
            await runner.cleanup()


async def test_who_has_the_token_sees_it(serve: Serve) -> None:
    async with serve(metrics_token=TOKEN) as client:
        for wrong in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {TOKEN}"}):
            assert await status(client, **wrong) == 401
        for token in (TOKEN[:-1], f"{TOKEN}x", "\udce9", "ü"):
            assert await status(client, Authorization=f"Bearer {token}") == 401
        person = await client.sign_up()
        assert await status(client, Authorization=f"Bearer {person.token}") == 401
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        for name in ("Bearer", "bearer"):
            assert await status(client, Authorization=f"{name} {TOKEN}", **forwarded) == 200
    async with serve(metrics="loopback", metrics_token=TOKEN) as client:
        assert await status(client) == 200


async def test_openmetrics_for_who_asks_for_it(serve: Serve) -> None:
    async with serve(metrics="loopback") as client:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with client.http.get(f"{client.url}/metrics", headers=accept) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")


async def test_what_the_relay_does_is_counted(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who is there would be told as well, at some moment.
    monkeypatch.setattr(device_presence, "TICK_SECONDS", 3600)
    async with serve(metrics="loopback") as client:
        before = await figures(client)
        assert before["roost_realtime_sockets"] == before["roost_realtime_topics"] == 0
        assert before["process_resident_memory_bytes"] > 1_000_000
        ada, grace = await client.sign_up(), await client.sign_up()
        conversation = await ada.open_conversation(grace)
        phones = [await listener(ada), await listener(grace)]

        now = await figures(client)
        assert now["roost_realtime_sockets"] == now["roost_realtime_channels"] == 2
        # The two inboxes, and the conversation that is heard in both.
        assert now["roost_realtime_topics"] == 3
        assert now["roost_realtime_joins_total"] == 2
        assert now["roost_realtime_replays_total"] == 0

        for n in range(3):
            await ada.ask("send_message", conversation_id=conversation, content={"text": str(n)})
            for phone in phones:
                await phone.events(1)
        await ada.ask("set_typing", conversation_id=conversation, typing=True)
        for phone in phones:
            await phone.events(1)
        now = await figures(client)
        assert now["roost_realtime_events_total stored"] == 3
        assert now["roost_realtime_events_total ephemeral"] == 1
        assert now["roost_realtime_deliveries_total live"] == 6
        assert now["roost_realtime_deliveries_total ephemeral"] == 2
        assert now["roost_realtime_deliveries_total caught_up"] == 0
        assert now["roost_realtime_delivered_bytes_total"] > 8 * 200
        assert 1 <= now["roost_realtime_wake_to_write_seconds_count"] <= 3
        buckets = [
            now[f"roost_realtime_wake_to_write_seconds_bucket {bound}"]
            for bound in (*LATENCY_BOUNDS, "+Inf")
        ]
        assert buckets == sorted(buckets)
        assert buckets[-1] == now["roost_realtime_wake_to_write_seconds_count"]
        assert 0 < now["roost_realtime_wake_to_write_seconds_sum"] < 5
        assert now["roost_realtime_event_to_write_seconds_count"] == 3
        # The call's way back from the database is in it too.
        assert (
            now["roost_realtime_wake_to_write_seconds_sum"] / 3
            < now["roost_realtime_event_to_write_seconds_sum"]
            < 5
        )


async def test_what_goes_otherwise_is_counted(serve: Serve) -> None:
    async with serve(
        metrics="loopback", realtime_unsent_bytes=2_000, realtime_user_joins_per_second=1
    ) as client:
        ada, grace = await client.sign_up(), await client.sign_up()
        conversation = await ada.open_conversation(grace)
        phones = [await listener(ada), await listener(grace)]

        # What there is no room for is read from the log.
        content = {"text": "x" * 4_000}
        await ada.ask("send_message", conversation_id=conversation, content=content)
        for phone in phones:
            await phone.events(1)
        now = await figures(client)
        assert now["roost_realtime_evictions_total"] == 2
        assert now["roost_realtime_deliveries_total caught_up"] == 2
        assert now["roost_realtime_unsent_bytes"] == 0

        late = await listener(grace, after=0)
        while (await late.receive()).event != "broadcast":
            pass
        refused = 0
        while not refused:
            ref = await late.send(
                f"realtime:device:{grace.device_id}", "phx_join", join_payload(grace.token)
            )
            while (message := await late.receive()).ref != ref:
                pass
            refused += message.payload["status"] == "error"
        assert message.payload["response"]["code"] == "ClientJoinRateLimitReached"
        now = await figures(client)
        assert now["roost_realtime_refused_total ClientJoinRateLimitReached"] == 1
        assert now["roost_realtime_replays_total"] == 1

        await grace.request("POST", "/auth/v1/logout")
        assert [await phone.closed() for phone in (phones[1], late)] == [4401, 4401]
        now = await figures(client)
        assert now["roost_realtime_closed_total 4401"] == 2
        assert now["roost_realtime_sockets"] == 1


async def test_offline_queues_are_counted(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_worker, "SECONDS_BETWEEN_COUNTS", 0.0)
    async with serve(metrics="loopback") as client:
        ada = await client.sign_up()
        prefix = "roost_offline_operations_"
        now = await figures(client)
        assert {name: now[f"{prefix}{name}"] for name in ("waiting", "failed", "tried_total")} == {
            "waiting": 0,
            "failed": 0,
            "tried_total": 0,
        }
        missing = {"conversation_id": str(uuid.uuid4())}
        operations = [
            {"id": str(uuid.uuid4()), "kind": "update_me", "args": {"display_name": "Ada"}},
            {
                "id": str(uuid.uuid4()),
                "kind": "archive_conversation",
                "args": missing,
                "max_retries": 0,
            },
            {
                "id": str(uuid.uuid4()),
                "kind": "unarchive_conversation",
                "args": missing,
                "max_retries": 20,
            },
        ]
        await ada.ask("enqueue_operations", operations=operations)
        async with asyncio.timeout(10):
            while (now := await figures(client))[f"{prefix}failed"] != 1:
                pass
        assert now[f"{prefix}waiting"] == 1
        assert now[f"{prefix}tried_total"] >= 3
        assert 0 <= now[f"{prefix}oldest_due_seconds"] < 10
        assert now[f"{prefix}running"] in (0, 1)


def test_a_histogram() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.0005, 0.0006, 0.04, 7.0):
        histogram.observe(seconds)
    counts = [2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5]
    assert histogram.buckets() == list(
        zip((*map(str, LATENCY_BOUNDS), "+Inf"), counts, strict=True)
    )
    assert histogram.sum == pytest.approx(7.0411)
