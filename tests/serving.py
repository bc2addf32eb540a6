"""A whole server on a free port, and people who use it over real sockets."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Self

import aiohttp
import argon2
from aiohttp import web

from roost.app import open_app
from roost.auth.passwords import Passwords
from roost.settings import Settings

PASSWORD = "correct horse battery staple"

# Argon2id at the least cost there is: nearly every test has people who sign up. The servers that
# tests/test_draining.py starts take its full cost.
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end; body is parsed JSON, or None when there is none."""

    status: int
    headers: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Client:
    """Calls a server, as somebody when it has a token."""

    url: str
    http: aiohttp.ClientSession
    token: str | None = None
    user_id: str = ""
    device_id: str = ""

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        async with self.http.request(method, self.url + path, headers=sent, **options) as answer:
            body = await answer.read()
            return Answer(
                answer.status,
                answer.headers,
                await answer.json(content_type=None) if body else None,
            )

    async def call(self, function: str, /, **arguments: Any) -> Answer:
        """POST /rpc/<function> with these arguments."""
        return await self.request("POST", f"/rpc/{function}", json=arguments)

    async def ask(self, function: str, /, **arguments: Any) -> Any:
        """The result of a call that has to succeed."""
        answer = await self.call(function, **arguments)
        assert answer.status in (200, 204), answer
        return answer.body

    async def sign_up(self, email: str | None = None) -> Self:
        """A client that is a new person."""
        answer = await self.request(
            "POST",
            "/auth/v1/signup",
            json={
                "email": email or f"{uuid.uuid4().hex}@example.com",
                "password": PASSWORD,
            },
        )
        assert answer.status == 200, answer
        return self._signed_in(answer.body)

    async def sign_in(self, email: str) -> Self:
        """A client that is this person on one more device."""
        answer = await self.request(
            "POST",
            "/auth/v1/token?grant_type=password",
            json={"email": email, "password": PASSWORD},
        )
        assert answer.status == 200, answer
        return self._signed_in(answer.body)

    async def open_conversation(self, *others: Self) -> str:
        """The id of a new conversation of this person with others."""
        conversation = await self.ask(
            "create_conversation", title="Plans", participants=[other.user_id for other in others]
        )
        conversation_id: str = conversation["id"]
        return conversation_id

    def _signed_in(self, session: dict[str, Any]) -> Self:
        return replace(
            self,
            token=session["access_token"],
            user_id=session["user"]["id"],
            device_id=session["device_id"],
        )


@contextlib.asynccontextmanager
async def serving(conninfo: str, **settings: Any) -> AsyncIterator[Client]:
    """Serves a database on a free port of the loopback; gives a client that is not signed in."""
    async with (
        open_app(Settings(port=0, **settings), conninfo, passwords=Passwords(CHEAP)) as app,
        aiohttp.ClientSession() as http,
    ):
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=2.5
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield Client(f"http://127.0.0.1:{runner.addresses[0][1]}", http)
        finally:
            await runner.cleanup()
