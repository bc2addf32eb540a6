"""Argon2id (RFC 9106) in a few threads, so that the loop goes on while passwords are hashed."""

import asyncio
import base64
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

import argon2
from argon2.exceptions import VerifyMismatchError

from roost.errors import RoostError

P = ParamSpec("P")
Answer = TypeVar("Answer")

LEAST_CHARACTERS: Final = 8
MOST_CHARACTERS: Final = 1024

# Each hash in the making takes 64 MiB and, by RFC 9106's second recommendation, four lanes.
THREADS: Final = min(4, os.cpu_count() or 1)
# Hashes that may wait: some ten seconds of work. A flood of sign-ups is refused beyond that.
MOST_WAITING: Final = 64


class Passwords:
    """Hashes and checks passwords. Close it to end its threads."""

    def __init__(
        self, hasher: argon2.PasswordHasher | None = None, most_waiting: int = MOST_WAITING
    ) -> None:
        """hasher -- other parameters than RFC 9106's for servers without 2 GiB to spare"""
        self._hasher = hasher or argon2.PasswordHasher()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._most = THREADS + most_waiting
        self._most_with_sign_up = THREADS + most_waiting // 2
        self._unfinished = 0
        self._nobody = _hash_of_nothing(self._hasher)

    def close(self) -> None:
        """Takes no more work, and drops what has not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, *, for_sign_up: bool = False) -> str:
        """
        The hash to store, in PHC string format. Raises RoostError when too many wait.

        for_sign_up -- leaves half of the waiting room to the people who have an account
        """
        most = self._most_with_sign_up if for_sign_up else self._most
        return await self._run(most, self._hasher.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """
        Whether a password is the right one. Without a hash it never is, at the same cost: how long
        the answer takes does not tell whether there is an account. Raises RoostError when too many
        wait.
        """
        try:
            return await self._run(
                self._most, self._hasher.verify, password_hash or self._nobody, password
            )
        except VerifyMismatchError:
            return False

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a hash was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(password_hash)

    async def _run(
        self, most: int, function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs
    ) -> Answer:
        if self._unfinished >= most:
            raise RoostError(
                code="over_request_rate_limit",
                message="Too many passwords are being checked.",
                details=None,
                hint="Try again in a few seconds.",
                status=503,
            )
        self._unfinished += 1
        future = asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        future.add_done_callback(self._finished)
        return await future

    def _finished(self, _future: asyncio.Future[Any]) -> None:
        self._unfinished -= 1


def _hash_of_nothing(hasher: argon2.PasswordHasher) -> str:
    """A hash that no password is known to have, of the same cost as others."""

    def random(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    return (
        f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
        f"${random(hasher.salt_len)}${random(hasher.hash_len)}"
    )
