"""One message at a time, to one socket.

Latency is taken from before the HTTP call that sends a message, so it has the whole call in it, and
from the answer of that call, which comes after the commit.
"""

import asyncio
import secrets
import statistics
import time

import aiohttp

from bench.relay.sizes import MESSAGES
from bench.results import Row
from bench.servers import database, roost
from roost.demo import Device

WARM_UP = 50


async def _latencies(url: str) -> tuple[list[float], list[float]]:
    """(from the call, from its answer) in ms for each message."""
    async with aiohttp.ClientSession() as http:
        sender, receiver = (Device(http, url, name) for name in ("sender", "receiver"))
        email, password = f"{secrets.token_hex(4)}@example.com", secrets.token_hex(16)
        await sender.sign_in("/auth/v1/signup", email, password, "laptop")
        await receiver.sign_in("/auth/v1/token?grant_type=password", email, password, "phone")
        conversation = await sender.call("create_conversation")
        await receiver.join(conversation["id"])
        from_call, from_answer = [], []
        for number in range(MESSAGES + WARM_UP):
            started = time.perf_counter()
            await sender.call(
                "send_message", conversation_id=conversation["id"], content={"text": "x" * 200}
            )
            answered = time.perf_counter()
            arrived = (await receiver.next()).when
            if number >= WARM_UP:
                from_call.append((arrived - started) * 1000)
                from_answer.append((arrived - answered) * 1000)
        await receiver.cut()
        return from_call, from_answer


def measure() -> list[Row]:
    """The rows."""
    with database() as postgres, roost(postgres.conninfo()) as server:
        from_call, from_answer = asyncio.run(_latencies(server.url))
    percentiles = statistics.quantiles(from_call, n=100)
    return [
        Row("call to socket, idle: median", statistics.median(from_call), "ms", "< 3"),
        Row("call to socket, idle: 99th percentile", percentiles[98], "ms"),
        Row("answer to socket, idle: median", statistics.median(from_answer), "ms"),
    ]
