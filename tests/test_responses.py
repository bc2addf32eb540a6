"""What all answers have in common: bytes that are no text, and the tables of codes."""

import asyncio
import re
from typing import Any

import orjson
import pytest

from roost.responses import status_of
from tests.serving import PASSWORD, Client
from tests.support import REPOSITORY, connect

SIGN_UP = orjson.dumps({"email": "ada@example.com", "password": PASSWORD})
CALLS = (REPOSITORY / "docs" / "reference" / "calls.md").read_text()


async def _send(client: Client, path: str, header: bytes, body: bytes) -> tuple[int, Any]:
    """Status and body of the answer to a POST with this header line, its bytes as they are."""
    host, port = client.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST %s HTTP/1.1\r\nHost: roost\r\nConnection: close\r\n" % path.encode()
        + b"Content-Length: %d\r\n%s\r\n\r\n" % (len(body), header)
        + body
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, sent = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(sent)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Accept: \xff", 406),
        (b"Content-Profile: \xff", 406),
        (b"Content-Type: \xff", 400),
        (b"Prefer: handling=strict, \xff", 400),
        (b"Apikey: \xff", 200),
        (b"Authorization: Bearer \xff", 401),
        (b"Authorization: Bearer \xff.\xff.\xff", 401),
    ],
)
async def test_a_header_that_is_not_utf_8(client: Client, header: bytes, status: int) -> None:
    answered, body = await _send(client, "/rpc/ping", header, b"{}")

    assert answered == status, body
    assert status == 200 or body["message"]


@pytest.mark.parametrize("path", ["/auth/v1/signup", "/auth/v1/token?grant_type=password"])
async def test_a_device_that_is_not_utf_8(client: Client, path: str) -> None:
    status, body = await _send(client, path, b"X-Roost-Device: \xff", SIGN_UP)

    assert (status, body["code"], body["details"]) == (400, "validation_failed", "Device: ?")


@pytest.mark.parametrize("header", [b"User-Agent: \xff", b"X-Client-Info: \xff"])
async def test_software_that_is_not_utf_8(client: Client, header: bytes) -> None:
    status, body = await _send(client, "/auth/v1/signup", header, SIGN_UP)

    assert status == 200, body


def _table(title: str) -> list[tuple[str, ...]]:
    """The rows of the table in the reference of calls that begins with this line."""
    lines = CALLS[CALLS.index(title) :].split("\n\n", 1)[0].splitlines()
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


async def test_the_reference_has_every_code(database: str) -> None:
    async with await connect(database) as connection:
        cursor = await connection.execute(
            "SELECT code, name, http_status::text, meaning FROM roost.error_codes ORDER BY code"
        )
        in_database = await cursor.fetchall()

    assert _table("| code | name | status | meaning |") == in_database


def test_the_reference_has_the_status_of_sqlstates() -> None:
    rows = _table("| SQLSTATE | status | |")

    assert rows
    for sqlstates, statuses, _ in rows:
        for sqlstate in sqlstates.split(", "):
            # A class as a whole stands for a code that nothing else is said of.
            code = re.sub("xxx$", "000", sqlstate)
            possible = {status_of(code, {}, anonymous=anonymous) for anonymous in (False, True)}
            assert possible == set(map(int, statuses.split(", "))), sqlstate
