"""Calls over HTTP beside the same statements in pgbench, beside bare aiohttp, beside a pool.

Every round measures each of them once, one after the other, for 16 and for 64 connections; the
figures are medians over the rounds, and ratios are taken round by round.
"""

import asyncio
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import psycopg

from bench.results import Row, ratios, report
from bench.servers import Load, database, http_request, server
from bench.statements import Calls, numbered_to
from roost.database.connection import BEGIN_CALL
from roost.database.embedded import EmbeddedPostgres

SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "4"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
CONNECTIONS: Final = (16, 64)
CONTENT: Final = {
    "text": "A message of the length that people write to each other, most of the time."
}


async def _people(url: str, count: int) -> list[dict[str, str]]:
    """Signs people up, each with a conversation of their own: token, session and message body."""
    async with aiohttp.ClientSession() as http:

        async def person(number: int) -> dict[str, str]:
            async with http.post(
                f"{url}/auth/v1/signup",
                json={"email": f"p{number}@example.com", "password": secrets.token_hex(16)},
            ) as answer:
                token = (await answer.json())["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post(
                f"{url}/rpc/create_conversation", json={}, headers=headers
            ) as answer:
                conversation = await answer.json()
            async with http.post(f"{url}/rpc/list_sessions", json={}, headers=headers) as answer:
                session = (await answer.json())[0]
            return {
                "token": token,
                "session_id": session["id"],
                "body": json.dumps({"conversation_id": conversation["id"], "content": CONTENT}),
            }

        return [await person(number) for number in range(count)]


class Pgbench:
    """pgbench sending the statements of a call in one pipeline, as the server does."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path, calls: Calls) -> None:
        self._postgres = postgres
        self._scripts = {}
        for name, function, arguments, role, session in (
            ("trivial", "ping", frozenset[str](), "'anon'", "NULL"),
            (
                "send_message",
                "send_message",
                frozenset({"conversation_id", "content"}),
                "'user'",
                ":session_id",
            ),
        ):
            statement = calls.sql(function, arguments)
            lines = [
                r"\if :ready = 0",
                "SELECT session_id, body FROM bench.people WHERE number = :client_id \\gset",
                r"\set ready 1",
                r"\endif",
                r"\startpipeline",
                BEGIN_CALL.sql.decode().replace("$1", role).replace("$2", session) + ";",
                numbered_to(":body", statement) + ";",
                r"\endpipeline",
            ]
            script = folder / f"{name}.sql"
            script.write_text("\n".join(line.replace("\n", " ") for line in lines) + "\n")
            self._scripts[name] = script

    def run(self, name: str, connections: int) -> float:
        """Transactions a second."""
        result = subprocess.run(
            [
                self._postgres.binaries / "pgbench",
                *("--no-vacuum", "--protocol=prepared", f"--time={round(SECONDS)}"),
                *(f"--client={connections}", "--jobs=1", "--define=ready=0"),
                f"--file={self._scripts[name]}",
                self._postgres.conninfo(),
            ],
            check=True,
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PGOPTIONS": "-c role=roost_gateway -c roost.gateway=on -c timezone=UTC",
            },
        )
        found = re.search(r"tps = ([0-9.]+)", result.stdout)
        if found is None or "number of failed transactions: 0 " not in result.stdout:
            raise RuntimeError(result.stdout + result.stderr)
        return float(found[1])


async def _prepare(conninfo: str, people: list[dict[str, str]]) -> Calls:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("CREATE SCHEMA bench")
        await connection.execute(
            "CREATE TABLE bench.people (number integer PRIMARY KEY, session_id text, body text)"
        )
        await connection.execute("GRANT USAGE ON SCHEMA bench TO roost_gateway")
        await connection.execute("GRANT SELECT ON bench.people TO roost_gateway")
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO bench.people VALUES (%s, %s, %s)",
                [(number, p["session_id"], p["body"]) for number, p in enumerate(people)],
            )
        return await Calls.load(connection)


def main() -> int:
    """Runs the rounds and reports; answers the exit code."""
    os.environ["ROOST_JWT_SECRET"] = secrets.token_hex(32)
    load = Load()
    with (
        database() as postgres,
        tempfile.TemporaryDirectory() as folder,
        server("bench.roost_server", postgres.conninfo()) as roost,
        server("bench.pooled_server", postgres.conninfo()) as pooled,
        server("bench.bare_server", postgres.conninfo()) as bare,
    ):
        people = asyncio.run(_people(roost, max(CONNECTIONS)))
        pgbench = Pgbench(
            postgres, Path(folder), asyncio.run(_prepare(postgres.conninfo(), people))
        )

        def http(url: str, name: str, connections: int) -> float:
            requests = [
                http_request("/rpc/ping", "{}", None)
                if name == "trivial"
                else http_request("/rpc/send_message", person["body"], person["token"])
                for person in people[:connections]
            ]
            return load.run(url, SECONDS, requests)

        def measures(name: str, connections: int) -> dict[str, Callable[[], float]]:
            return {
                "bare aiohttp": lambda: http(bare, name, connections),
                "Roost": lambda: http(roost, name, connections),
                "pool": lambda: http(pooled, name, connections),
                "pgbench": lambda: pgbench.run(name, connections),
            }

        figures: dict[tuple[str, int, str], list[float]] = {}
        for round_number in range(ROUNDS):
            print(f"round {round_number + 1} of {ROUNDS}", file=sys.stderr)
            for name in ("trivial", "send_message"):
                for connections in CONNECTIONS:
                    for what, measure in measures(name, connections).items():
                        figures.setdefault((name, connections, what), []).append(measure())
    load.close()
    report("calls", _rows(figures))
    return 0


def _rows(figures: dict[tuple[str, int, str], list[float]]) -> list[Row]:
    rows = [
        Row(f"{name}, {connections} connections: {what}", statistics.median(values), "calls/s")
        for (name, connections, what), values in figures.items()
    ]
    for connections in CONNECTIONS:
        for name, other, budget in (
            ("trivial", "bare aiohttp", ">= 0.7"),
            ("trivial", "pool", None),
            ("send_message", "pgbench", ">= 0.75"),
            ("send_message", "pool", None),
        ):
            rows.append(
                Row(
                    f"{name}, {connections} connections: Roost / {other}",
                    ratios(figures[name, connections, "Roost"], figures[name, connections, other]),
                    "ratio",
                    budget,
                )
            )
    return rows


if __name__ == "__main__":
    sys.exit(main())
