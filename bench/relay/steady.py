"""Requests at a steady rate, whether the ones before are answered or not, and what arrives."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from bench.sockets import Sockets

# What is sent in the first second is not counted.
WARM_UP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Post:
    """A request; body is JSON text."""

    url: str
    body: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Latencies:
    """
    To each socket, in ms, sorted.

    from_request, from_answer -- since the request began, and since it was answered
    requests -- how many there were, with those of the warm-up
    """

    requests: int
    from_request: list[float]
    from_answer: list[float]


def percentile(values: Sequence[float], percent: int) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, len(values) * percent // 100)]


def median_percentile(rounds: Sequence[Sequence[float]], percent: int) -> float:
    """The median of a percentile over the rounds."""
    return statistics.median(percentile(values, percent) for values in rounds)


def send_steadily(
    sockets: Sockets, post: Callable[[int], Post], rate: float, seconds: float
) -> Latencies:
    """Sends requests 0, 1, ... at a rate, each of which is to reach every socket with its number
    (`sockets.numbered`). Raises RuntimeError when one is refused.
    """
    warm_up = round(rate * WARM_UP_SECONDS)
    number = warm_up + round(rate * seconds)
    sockets.expect_numbers(number)
    started, answered = asyncio.run(_send([post(each) for each in range(number)], rate))
    arrivals = sockets.arrivals()
    from_request, from_answer = (
        sorted(
            (arrival - since[each]) * 1000
            for each in range(warm_up, number)
            for arrival in arrivals[each]
        )
        for since in (started, answered)
    )
    return Latencies(number, from_request, from_answer)


async def _send(posts: Sequence[Post], rate: float) -> tuple[list[float], list[float]]:
    """When each began and when it was answered."""
    started, answered = [0.0] * len(posts), [0.0] * len(posts)

    async def send(number: int, post: Post) -> None:
        headers = {"Content-Type": "application/json"}
        if post.token is not None:
            headers["Authorization"] = f"Bearer {post.token}"
        started[number] = time.perf_counter()
        async with http.post(post.url, data=post.body, headers=headers) as answer:
            body = await answer.read()
            answered[number] = time.perf_counter()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {body!r}")

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as group,
    ):
        begun = time.perf_counter()
        for number, post in enumerate(posts):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            group.create_task(send(number, post))
    return started, answered
