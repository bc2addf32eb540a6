"""The sockets that listen, as a benchmark sees them: a process of their own (`socket_load`)."""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

# What a process has open beside its sockets.
OTHER_FILES: Final = 200


def allow_files() -> int:
    """Lets this process, and those that it starts, have as many open files as the system allows.
    Returns for how many sockets that is enough.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard - OTHER_FILES


def at_most(sockets: int) -> int:
    """As many sockets, or as many as one process may have here, with a word about it."""
    allowed = allow_files()
    if sockets <= allowed:
        return sockets
    print(
        f"{sockets} sockets need as many open files, and a process may have {allowed} here"
        f" (ulimit -Hn): measuring with {allowed}",
        file=sys.stderr,
    )
    return allowed


class Sockets:
    """Many sockets that have joined."""

    def __init__(
        self,
        url: str,
        number: int,
        joins: Sequence[tuple[str, str]] = (),
        *,
        deflate: bool = False,
    ) -> None:
        """
        joins -- topics with the tokens to join them; without any, the server speaks Socket.IO
        deflate -- offer permessage-deflate
        """
        self.number = number
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.socket_load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(
            {
                "open": {
                    "url": url,
                    "sockets": number,
                    "joins": [list(join) for join in joins],
                    "deflate": deflate,
                }
            }
        )
        self.seconds_to_join: float = self._answer()["seconds"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def count(self, marker: str, doze: float = 0) -> None:
        """Begins to count it, anew. See `socket_load`, as for all of these."""
        self._tell({"count": marker, "doze": doze})
        self._answer()

    def until(self, number: int) -> tuple[float, float]:
        """Waits until it has come so many times, on all sockets together. When the first and the
        last did.
        """
        self._tell({"until": number})
        times = self._answer()
        return times["first"], times["last"]

    def expect_numbers(self, numbers: int) -> None:
        """Begins to take down when numbers arrive."""
        self._tell({"steady": numbers})
        self._answer()

    def arrivals(self) -> list[list[float]]:
        """Waits until all have. When each did, on any socket."""
        arrivals: list[list[float]] = self._answer()["arrivals"]
        return arrivals

    def expect_loss(self) -> None:
        """From now on the server may close them."""
        self._tell({"cut": True})
        self._answer()

    def resume(self, url: str, missed: int) -> dict[str, list[float]]:
        """All come back at once. How long it took each to join, and to have what it had missed."""
        self._tell({"resume": missed, "url": url})
        times: dict[str, list[float]] = self._answer()
        return times

    def _answer(self) -> dict[str, Any]:
        """Raises RuntimeError when there is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sockets' process has failed: see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _tell(self, job: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()


def numbered(number: int, length: int) -> str:
    """A text of that length that says which number it is, for expect_numbers()."""
    return f"#{number:08}#".ljust(length, "x")
