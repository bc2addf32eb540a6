"""From a commit to the sockets: latency one message at a time, and fan-out of a burst.

Latency is taken from before the HTTP call that sends a message, so it has the whole call in it, and
from the answer of that call, which comes after the commit.
"""

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from typing import Any, Final

import aiohttp
import psycopg

from bench.results import Row, report
from bench.servers import database, server
from roost.demo import Device

MESSAGES: Final = int(os.environ.get("BENCH_MESSAGES", "500"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
BURST: Final = 200
EVENT: Final = "bench.burst"
# 200 bytes of payload.
PAYLOAD: Final = json.dumps({"text": "x" * 189})


class Sockets:
    """The process that listens on many sockets."""

    def __init__(self, url: str, topic: str, token: str, sockets: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.socket_load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask({"url": url, "topic": topic, "token": token, "sockets": sockets, "marker": EVENT})

    def tell(self, job: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def _ask(self, job: dict[str, Any]) -> None:
        self.tell(job)
        self.answer()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


async def _latencies(url: str) -> tuple[list[float], list[float], str, str]:
    """(from the call, from its answer) in ms for each message; the conversation, a token."""
    async with aiohttp.ClientSession() as http:
        sender, receiver = (Device(http, url, name) for name in ("sender", "receiver"))
        email, password = f"{secrets.token_hex(4)}@example.com", secrets.token_hex(16)
        await sender.sign_in("/auth/v1/signup", email, password, "laptop")
        await receiver.sign_in("/auth/v1/token?grant_type=password", email, password, "phone")
        conversation = await sender.call("create_conversation")
        await receiver.join(conversation["id"])
        from_call, from_answer = [], []
        for number in range(MESSAGES + 50):
            started = time.perf_counter()
            await sender.call(
                "send_message", conversation_id=conversation["id"], content={"text": "x" * 200}
            )
            answered = time.perf_counter()
            arrived = (await receiver.next()).when
            if number >= 50:
                from_call.append((arrived - started) * 1000)
                from_answer.append((arrived - answered) * 1000)
        await receiver.cut()
        return from_call, from_answer, conversation["id"], sender.token


def _fan_out(conninfo: str, url: str, topic: str, token: str, count: int) -> list[float]:
    """Deliveries a second for each round, from the first arrival of a burst to its last."""
    sockets = Sockets(url, topic, token, count)
    rates = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for _ in range(ROUNDS + 1):
            sockets.tell({"expect": BURST})
            connection.execute(
                "SELECT realtime.publish(%s, %s, %s::json) FROM generate_series(1, %s)",
                [topic, EVENT, PAYLOAD, BURST],
            )
            times = sockets.answer()
            rates.append(BURST * count / max(times["last"] - times["first"], 1e-6))
    sockets.close()
    return rates[1:]


def main() -> int:
    """Measures and reports; answers the exit code."""
    with database() as postgres, server("bench.roost_server", postgres.conninfo()) as url:
        from_call, from_answer, conversation_id, token = asyncio.run(_latencies(url))
        topic = f"conversation:{conversation_id}"
        fan_out = {
            count: _fan_out(postgres.conninfo(), url, topic, token, count) for count in (100, 1000)
        }
    percentiles = statistics.quantiles(from_call, n=100)
    rows = [
        Row("call to socket, idle: median", statistics.median(from_call), "ms", "< 3"),
        Row("call to socket, idle: 99th percentile", percentiles[98], "ms"),
        Row("answer to socket, idle: median", statistics.median(from_answer), "ms"),
    ]
    rows += [
        Row(
            f"burst of {BURST} events of 200 bytes to {count} sockets",
            statistics.median(rates),
            "deliveries/s",
            ">= 1000000" if count == 1000 else None,
        )
        for count, rates in fan_out.items()
    ]
    report("relay", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
