"""aiohttp answering without a database: what the HTTP library alone can do in this process."""

import asyncio

import orjson
import uvloop
from aiohttp import web


async def _answer(request: web.Request) -> web.Response:
    orjson.loads(await request.read())
    return web.Response(body=b'"pong"', content_type="application/json")


async def _serve() -> None:
    app = web.Application()
    app.router.add_post("/rpc/{function}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
