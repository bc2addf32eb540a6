"""The ordinary way: aiohttp, a psycopg pool, and a transaction of its own for each call.

Sends the same statements as Roost, with the same checks, through the library's usual interface.
"""

import asyncio
import os

import orjson
import uvloop
from aiohttp import web
from psycopg_pool import AsyncConnectionPool

from bench.statements import BEGIN_CALL, Calls
from roost.tokens import AccessTokens

POOL: web.AppKey[AsyncConnectionPool] = web.AppKey("pool", AsyncConnectionPool)
TOKENS = web.AppKey("tokens", AccessTokens)
CALLS = web.AppKey("calls", Calls)


async def _answer(request: web.Request) -> web.Response:
    body = await request.read()
    arguments = frozenset(orjson.loads(body))
    identity = request.app[TOKENS].identity(request.headers)
    statement = request.app[CALLS].statement(request.match_info["function"], arguments)
    session_id = None if identity.session_id is None else identity.session_id.decode()
    async with (
        request.app[POOL].connection() as connection,
        connection.transaction(),
        connection.cursor() as cursor,
    ):
        await cursor.execute(BEGIN_CALL, (identity.role.decode(), session_id))
        await cursor.execute(statement, (body.decode(),))
        row = await cursor.fetchone()
    assert row is not None
    return web.Response(body=row[0].encode(), content_type="application/json")


async def _serve() -> None:
    app = web.Application()
    app.router.add_post("/rpc/{function}", _answer)
    async with AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        min_size=16,
        max_size=16,
        kwargs={"options": "-c role=roost_gateway -c roost.gateway=on -c timezone=UTC"},
        open=False,
    ) as pool:
        async with pool.connection() as connection:
            app[CALLS] = await Calls.load(connection)
        app[POOL] = pool
        app[TOKENS] = AccessTokens(os.environ["ROOST_JWT_SECRET"], 3600)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
