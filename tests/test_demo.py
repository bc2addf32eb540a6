"""`roost demo`: what it shows, and what it says where it can't."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from roost import demo
from tests.serving import Client


async def test_the_demo(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert await demo.main(f"{client.url}/") == 0

    said = capsys.readouterr()
    assert "All ten came once and in order, and the next one live.\n" in said.out
    assert "version 2: all the tests pass\n" in said.out
    assert "and that grace has 0 unread\n" in said.out
    assert said.out.endswith("finds 1: all the [tests] pass\n")
    assert said.err == ""


async def test_who_types_is_passed_over(client: Client) -> None:
    device = demo.Device(client.http, client.url, "phone")
    await device.sign_in("/auth/v1/signup", "ada@example.com", "correct horse battery", "phone")
    conversation = await device.call("create_conversation")
    await device.join(conversation["id"])
    await device.call("set_typing", conversation_id=conversation["id"])
    await device.call("send_message", conversation_id=conversation["id"], content={"text": "hello"})
    assert (await device.next()).offset == 1
    await device.cut()


async def _no_answer(_request: web.Request) -> web.Response:
    """Ends when its client goes."""
    await asyncio.Event().wait()
    return web.Response()


async def _silent_socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for _ in ws:
        pass
    return ws


async def _text_on_a_socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await ws.send_str("hello")
    await ws.close()
    return ws


async def _closed_socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await ws.close()
    return ws


async def _refusing_socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    join_ref, ref, topic, _, _ = await ws.receive_json()
    reply = {"status": "error", "response": {"reason": "Unauthorized: no"}}
    await ws.send_json([join_ref, ref, topic, "phx_reply", reply])
    await ws.close()
    return ws


def _saying(**answer: Any) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(**answer)

    return handler


# Enough of an answer to every call before the first join.
PASSABLE = _saying(body=b'{"access_token": "x", "user": {"id": "x"}, "id": "x"}')
NOT_ROOST = r"{url} does not answer as Roost does: is it the right one\?"


@pytest.mark.parametrize(
    ("handler", "socket", "line"),
    [
        (_saying(text="hello"), None, NOT_ROOST),
        (_saying(text="not here", status=404), None, NOT_ROOST),
        (_saying(body=b"\xff"), None, NOT_ROOST),
        (_saying(), None, NOT_ROOST),
        (_saying(body=b"[]"), None, NOT_ROOST),
        (_saying(body=b'{"error": "x"}', status=500), None, NOT_ROOST),
        (
            _saying(body=b'{"message": "No more."}', status=429),
            None,
            "the demo failed: /auth/v1/signup: 429 No more.",
        ),
        (_no_answer, None, "{url} gave no answer for 1 s"),
        (PASSABLE, PASSABLE, "{url} does not answer as Roost does: 200, .*"),
        (PASSABLE, _silent_socket, "{url} gave no answer for 1 s"),
        (PASSABLE, _text_on_a_socket, NOT_ROOST),
        (PASSABLE, _closed_socket, "the demo failed: ada's laptop lost its connection .*"),
        (PASSABLE, _refusing_socket, "the demo failed: Unauthorized: no"),
    ],
)
async def test_what_is_not_roost(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    handler: Handler,
    socket: Handler | None,
    line: str,
) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.6)
    async with _answering(handler, socket or handler) as url:
        assert await demo.main(url) == 1

    said = capsys.readouterr().err
    assert re.fullmatch(f"roost: {line.format(url=url)}\n", said), said


@contextlib.asynccontextmanager
async def _answering(handler: Handler, socket: Handler) -> AsyncIterator[str]:
    """The address of a server that answers everything alike, apart from sockets."""
    app = web.Application()
    app.router.add_get("/realtime/v1/websocket", socket)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
