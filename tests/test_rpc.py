"""POST /rpc/<function> over a real socket: PostgREST's wire format, and what bad input gets."""

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from roost.tokens import AccessTokens
from tests.serving import Client

JSON = "application/json; charset=utf-8"


@pytest.fixture
async def functions(database: str) -> None:
    """One function of each kind of answer, as an operator might add them to schema api."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        for signature, body in {
            "answer_number() RETURNS integer": "SELECT 3",
            "answer_null() RETURNS integer": "SELECT NULL::integer",
            "echo(value json) RETURNS json": "SELECT value",
            "answer_json() RETURNS json": """SELECT '{"a": [1, null]}'::json""",
            "answer_numbers(up_to integer) RETURNS SETOF integer": (
                "SELECT generate_series(1, up_to)"
            ),
            "answer_rows(up_to integer) RETURNS TABLE (n integer, nothing text)": (
                "SELECT g, NULL::text FROM generate_series(1, up_to) AS g"
            ),
            "answer_column(up_to integer) RETURNS TABLE (n integer)": (
                "SELECT generate_series(1, up_to)"
            ),
            "answer_out(OUT first integer, OUT second text)": "SELECT 1, 'x'",
            "answer_one_out(OUT single integer)": "SELECT 1",
            "answer_sum(VARIADIC numbers integer[]) RETURNS bigint": (
                "SELECT sum(n) FROM unnest(numbers) AS n"
            ),
            "overloaded(a text) RETURNS text": "SELECT 'a'",
            "overloaded(b integer) RETURNS text": "SELECT 'b'",
            "overloaded(b integer, c integer DEFAULT 1) RETURNS text": "SELECT 'bc'",
            'odd_name("Select" integer, "a b" text DEFAULT \'x\') RETURNS text': (
                'SELECT "Select" || "a b"'
            ),
        }.items():
            await connection.execute(
                f"CREATE FUNCTION api.{signature} LANGUAGE sql AS $body$ {body} $body$"
            )
        for name, body in {
            "answer_nothing()": "BEGIN END",
            "raise_payment()": (
                "BEGIN RAISE SQLSTATE 'PT402' USING MESSAGE = 'Pay', DETAIL = 'd', HINT = 'h'; END"
            ),
            "raise_by_hand()": (
                "BEGIN RAISE SQLSTATE 'PGRST' USING"
                """ MESSAGE = '{"code": "X1", "message": "m", "details": "d", "hint": "h"}',"""
                """ DETAIL = '{"status": 418, "headers": {}}'; END"""
            ),
            "raise_by_hand_badly()": "BEGIN RAISE SQLSTATE 'PGRST' USING MESSAGE = 'm'; END",
            "raise_plainly()": "BEGIN RAISE EXCEPTION 'no'; END",
            "raise_inside()": (
                "BEGIN RAISE SQLSTATE 'XX001' USING MESSAGE = 'secret', DETAIL = 'secret'; END"
            ),
            "sleep_long()": "BEGIN PERFORM pg_sleep(600); END",
        }.items():
            await connection.execute(
                f"CREATE FUNCTION api.{name} RETURNS void LANGUAGE plpgsql AS $body$ {body}; $body$"
            )


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("function", "arguments", "body"),
    [
        ("ping", {}, "pong"),
        ("answer_number", {}, 3),
        ("answer_null", {}, None),
        ("answer_json", {}, {"a": [1, None]}),
        ("answer_numbers", {"up_to": 2}, [1, 2]),
        ("answer_numbers", {"up_to": 0}, []),
        ("answer_rows", {"up_to": 1}, [{"n": 1, "nothing": None}]),
        ("answer_column", {"up_to": 1}, [{"n": 1}]),
        ("answer_out", {}, {"first": 1, "second": "x"}),
        ("answer_one_out", {}, {"single": 1}),
        ("answer_sum", {"numbers": [1, 2]}, 3),
        ("overloaded", {"a": "1"}, "a"),
        ("overloaded", {"b": 1, "c": 1}, "bc"),
        ("odd_name", {"Select": 1}, "1x"),
        ("odd_name", {"Select": 1, "a b": "y"}, "1y"),
    ],
)
async def test_answers_have_the_shape_of_the_return_type(
    serve: Any, function: str, arguments: dict[str, Any], body: Any
) -> None:
    async with serve() as client:
        answer = await client.call(function, **arguments)

    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.usefixtures("functions")
async def test_void_is_204_without_a_body(serve: Any) -> None:
    async with serve() as client:
        answer = await client.call("answer_nothing")

    assert (answer.status, answer.body) == (204, None)
    assert "Content-Type" not in answer.headers


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("query", "prefer", "status", "rows", "span"),
    [
        ("", "", 200, 5, "0-4/*"),
        ("?limit=2", "", 200, 2, "0-1/*"),
        ("?limit=2&offset=1", "count=exact", 206, 2, "1-2/5"),
        ("?offset=9", "", 200, 0, "*/*"),
        ("", "count=planned", 200, 5, "0-4/5"),
        ("?limit=0", "count=exact", 206, 0, "*/5"),
        ("?columns=up_to", "", 200, 5, "0-4/*"),
        ("", "handling=strict, max-affected=5", 200, 5, "0-4/*"),
    ],
)
async def test_lists_are_paged_and_counted(
    serve: Any, query: str, prefer: str, status: int, rows: int, span: str
) -> None:
    async with serve() as client:
        answer = await client.request(
            "POST", f"/rpc/answer_rows{query}", json={"up_to": 5}, headers={"Prefer": prefer}
        )

    assert (answer.status, len(answer.body)) == (status, rows)
    assert answer.headers["Content-Range"] == span
    assert answer.headers.get("Preference-Applied", "") == prefer


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("accept", "up_to", "status", "body"),
    [
        ("application/vnd.pgrst.object+json", 1, 200, {"n": 1, "nothing": None}),
        ("application/vnd.pgrst.object+json;nulls=stripped", 1, 200, {"n": 1}),
        ("application/vnd.pgrst.array+json;nulls=stripped", 1, 200, [{"n": 1}]),
        ("text/html;q=0.9, application/json;q=0.5", 1, 200, [{"n": 1, "nothing": None}]),
        ("application/vnd.pgrst.object+json", 2, 406, "PGRST116"),
        ("application/vnd.pgrst.object+json", 0, 406, "PGRST116"),
        ("text/csv", 1, 406, "PGRST107"),
        ("application/json;q=0", 1, 406, "PGRST107"),
    ],
)
async def test_accept_chooses_the_form(
    serve: Any, accept: str, up_to: int, status: int, body: Any
) -> None:
    async with serve() as client:
        answer = await client.request(
            "POST", "/rpc/answer_rows", json={"up_to": up_to}, headers={"Accept": accept}
        )

    assert answer.status == status
    assert (answer.body if status == 200 else answer.body["code"]) == body
    if body == "PGRST116":
        # Older clients look for these very words.
        assert answer.body["details"] == f"The result contains {up_to} rows"


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("request_options", "status", "code"),
    [
        ({"path": "/rpc/no_such_function"}, 404, "PGRST202"),
        ({"path": "/rpc/answer_numbers", "json": {"up_to": 1, "more": 2}}, 404, "PGRST202"),
        ({"path": "/rpc/answer_numbers", "json": {}}, 404, "PGRST202"),
        ({"path": "/rpc/overloaded", "json": {"b": 1}}, 300, "PGRST203"),
        ({"path": "/rpc/answer_numbers", "json": {"up_to": "many"}}, 400, "22P02"),
        ({"path": "/rpc/answer_numbers", "json": {"up_to": 10**20}}, 400, "22003"),
        ({"path": "/rpc/answer_numbers", "data": b"{"}, 400, "PGRST102"),
        ({"path": "/rpc/answer_numbers", "data": b'{"up_to": NaN}'}, 400, "PGRST102"),
        ({"path": "/rpc/answer_numbers", "data": b'"\xff"'}, 400, "PGRST102"),
        ({"path": "/rpc/answer_numbers", "json": [1]}, 400, "PGRST102"),
        ({"path": "/rpc/answer_numbers", "json": 1}, 400, "PGRST102"),
        ({"path": "/rpc/answer_numbers", "json": [{"up_to": 1}, {"x": 1}]}, 400, "PGRST102"),
        ({"path": "/rpc/odd_name", "json": {"Select": 1, "a b": "\0"}}, 400, "22P05"),
        (
            {
                "path": "/rpc/answer_numbers",
                "data": b"<x/>",
                "headers": {"Content-Type": "text/xml"},
            },
            400,
            "PGRST102",
        ),
        ({"path": "/rpc/answer_numbers?columns=up_to", "data": b"{"}, 400, "PGRST102"),
        ({"path": "/rpc/ping?columns=", "data": b'{"x":' + b"[" * 9999}, 400, "PGRST102"),
        ({"path": "/rpc/answer_rows?n=eq.1", "json": {"up_to": 1}}, 400, "PGRST127"),
        ({"path": "/rpc/answer_rows?select=n", "json": {"up_to": 1}}, 400, "PGRST127"),
        ({"path": "/rpc/answer_rows?limit=-1", "json": {"up_to": 1}}, 416, "PGRST103"),
        (
            {
                "path": "/rpc/answer_rows?offset=9",
                "json": {"up_to": 1},
                "headers": {"Prefer": "count=exact"},
            },
            416,
            "PGRST103",
        ),
        (
            {
                "path": "/rpc/answer_rows",
                "json": {"up_to": 2},
                "headers": {"Prefer": "handling=strict, max-affected=1"},
            },
            400,
            "PGRST124",
        ),
        (
            {"path": "/rpc/ping", "headers": {"Prefer": "handling=strict, max-affected=1"}},
            400,
            "PGRST128",
        ),
        ({"path": "/rpc/ping", "headers": {"Prefer": "handling=strict, x=y"}}, 400, "PGRST122"),
        ({"path": "/rpc/ping", "headers": {"Content-Profile": "roost"}}, 406, "PGRST106"),
        ({"path": "/rpc/ping", "method": "GET"}, 405, "PGRST101"),
        ({"path": "/rpc/ping/more"}, 404, "PGRST125"),
        ({"path": "/rpc/ping", "headers": {"Authorization": "Bearer a.b.c"}}, 401, "PGRST301"),
        ({"path": "/rpc/get_me"}, 401, "42501"),
        ({"path": "/rpc/raise_payment"}, 402, "PT402"),
        ({"path": "/rpc/raise_by_hand"}, 418, "X1"),
        ({"path": "/rpc/raise_by_hand_badly"}, 500, "PGRST121"),
        ({"path": "/rpc/raise_plainly"}, 400, "P0001"),
        ({"path": "/rpc/raise_inside"}, 500, "XX001"),
    ],
)
async def test_bad_input_gets_a_clear_error(
    serve: Any, request_options: dict[str, Any], status: int, code: str
) -> None:
    options = {"method": "POST", **request_options}
    path = options.pop("path")
    method = options.pop("method")
    async with serve() as client:
        answer = await client.request(method, path, **options)

    assert (answer.status, answer.body["code"]) == (status, code)
    assert set(answer.body) == {"code", "message", "details", "hint", "request_id"}
    assert answer.body["message"]
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Content-Type"] == JSON
    assert "secret" not in json.dumps(answer.body)
    if code not in ("P0001", "PGRST121"):
        assert answer.body["hint"], "an error says what to do"


async def test_a_body_that_is_too_large_is_refused(serve: Any) -> None:
    async with serve(max_body_bytes=2048) as client:
        answer = await client.request("POST", "/rpc/ping", data=b'{"x": "' + b"x" * 4096 + b'"}')

    assert (answer.status, answer.body["code"]) == (413, "HTTP413")
    assert "2048" in answer.body["hint"]


@pytest.mark.usefixtures("functions")
async def test_a_call_that_takes_too_long_is_ended(serve: Any) -> None:
    async with serve(statement_timeout_ms=100) as client:
        answer = await client.call("sleep_long")

    assert (answer.status, answer.body["code"]) == (504, "57014")


@pytest.mark.usefixtures("functions")
async def test_a_client_that_goes_away_cancels_its_call(serve: Any, database: str) -> None:
    running = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE '%sleep_long%'"
        " AND state = 'active' AND pid <> pg_backend_pid()"
    )
    async with (
        serve() as client,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as connection,
    ):

        async def wait_for(count: int) -> None:
            while True:
                row = await (await connection.execute(running)).fetchone()
                assert row is not None
                if row[0] == count:
                    return

        call = asyncio.create_task(client.call("sleep_long"))
        await wait_for(1)
        call.cancel()
        await wait_for(0)


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize("prefix", ["/rpc", "/rest/v1/rpc"])
async def test_forms_and_lists_of_objects_are_arguments_too(serve: Any, prefix: str) -> None:
    async with serve() as client:
        form = await client.request("POST", f"{prefix}/answer_numbers", data={"up_to": "2"})
        listed = await client.request("POST", f"{prefix}/answer_numbers", json=[{"up_to": 2}])

    assert form.body == listed.body == [1, 2]


@pytest.mark.usefixtures("functions")
async def test_the_object_of_a_list_keeps_its_digits(serve: Any) -> None:
    number = "12345678901234567890123.10"
    async with serve() as client:
        answer = await client.http.post(
            f"{client.url}/rpc/echo", data=f'[{{"value": {{"n": {number}}}}}]'.encode()
        )
        text = await answer.text()

    assert number in text


async def test_new_functions_are_found_without_a_restart(serve: Any, database: str) -> None:
    async with (
        serve() as client,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as connection,
    ):
        assert (await client.call("brand_new")).status == 404
        await connection.execute(
            "CREATE FUNCTION api.brand_new() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        )
        await connection.execute("NOTIFY roost_schema")
        while (await client.call("brand_new")).status == 404:
            await asyncio.sleep(0)
        assert (await client.call("brand_new")).body == 1

        # The same name, another answer: what was prepared before must not get in the way.
        await connection.execute("DROP FUNCTION api.brand_new()")
        await connection.execute(
            "CREATE FUNCTION api.brand_new(of integer DEFAULT 2) RETURNS SETOF text"
            " LANGUAGE sql AS 'SELECT of::text'"
        )
        await connection.execute("NOTIFY roost_schema")
        while (await client.call("brand_new", of=3)).status == 404:
            await asyncio.sleep(0)
        assert (await client.call("brand_new", of=3)).body == ["3"]
        assert (await client.call("brand_new")).body == ["2"]


async def test_cors_lets_browsers_in(serve: Any) -> None:
    preflight_headers = {
        "Origin": "https://example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,apikey,content-type,x-client-info",
    }
    async with serve() as client:
        preflight = await client.request("OPTIONS", "/rpc/ping", headers=preflight_headers)
        answer = await client.request(
            "POST", "/rpc/ping", json={}, headers={"Origin": "https://example.com"}
        )

    assert preflight.status == 200
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    for header in preflight_headers["Access-Control-Request-Headers"].split(","):
        assert header in allowed
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]


async def test_cors_lets_in_only_the_origins_of_the_settings(serve: Any) -> None:
    async with serve(cors_origins=("https://example.com",)) as client:
        known, unknown = [
            await client.request("POST", "/rpc/ping", json={}, headers={"Origin": origin})
            for origin in ("https://example.com", "https://example.org")
        ]

    assert known.headers["Access-Control-Allow-Origin"] == "https://example.com"
    assert "Access-Control-Allow-Origin" not in unknown.headers


async def test_the_request_id_of_a_proxy_is_kept(serve: Any) -> None:
    async with serve() as client:
        kept = await client.request("POST", "/rpc/ping", headers={"X-Request-Id": "abc-1"})
        made = await client.request("POST", "/rpc/ping", headers={"X-Request-Id": "a b"})

    assert kept.headers["X-Request-Id"] == "abc-1"
    assert made.headers["X-Request-Id"] != "a b"


async def test_health_says_whether_the_database_answers(serve: Any) -> None:
    async with serve() as client:
        answer = await client.request("GET", "/health")

    assert (answer.status, answer.body["database"]) == (200, "ok")


async def test_an_expired_token_is_refused(serve: Any) -> None:
    secret = "s" * 32
    async with serve(jwt_secret=secret) as client:
        person = await client.sign_up()
        stale, _ = AccessTokens(secret, -3600).issue(
            user_id=person.user_id,
            session_id=str(uuid.uuid4()),
            device_id=person.device_id,
            email="ada@example.com",
        )
        answer = await replace(client, token=stale).call("get_me")

    assert (answer.status, answer.body["code"]) == (401, "PGRST303")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_revoked_session_is_refused_at_once(client: Client) -> None:
    person = await client.sign_up()
    assert (await person.call("get_me")).status == 200
    sessions = await person.ask("list_sessions")
    await person.ask("revoke_session", session_id=sessions[0]["id"])

    answer = await person.call("get_me")

    assert (answer.status, answer.body["code"]) == (401, "RO102")


async def test_a_closed_account_is_refused_at_once(client: Client, database: str) -> None:
    person = await client.sign_up()
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "UPDATE roost.users SET status = 'closed' WHERE id = %s", [person.user_id]
        )

    answer = await person.call("get_me")

    assert (answer.status, answer.body["code"]) == (403, "RO103")
