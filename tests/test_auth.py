"""The endpoints of /auth/v1 over a real socket: what they answer, what they refuse."""

import asyncio
import contextlib
import ipaddress
import logging
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Literal, cast

import aiohttp
import argon2
import jwt
import psycopg
import pytest
from aiohttp import web
from multidict import CIMultiDict

from roost.auth.handlers import Auth
from roost.auth.passwords import THREADS, Passwords
from roost.auth.refresh_tokens import RefreshToken, new_secret
from roost.auth.requests import client_address
from roost.database.catalogue import load_catalogue
from roost.database.pipeline import Multiplexer
from roost.errors import RoostError
from roost.settings import Settings
from roost.tokens import AccessTokens
from tests.serving import PASSWORD, Answer, Client, serving
from tests.support import connect

SECRET = "a secret of the tests, of 32 bytes or more"
SETTINGS = Settings(max_body_bytes=100_000)
EMAIL = "ada@example.com"


class CountingHasher(argon2.PasswordHasher):
    """Argon2id at the least cost there is, counting what costs."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=8, parallelism=1)
        self.hashed = 0
        self.verified = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.hashed += 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
        self.verified += 1
        return super().verify(hash, password)


@dataclass(slots=True)
class AuthServer:
    """A server of the auth endpoints alone, and what can be seen of it."""

    client: Client
    database: psycopg.AsyncConnection[Any]
    tokens: AccessTokens
    hasher: CountingHasher
    touched: list[str] = field(default_factory=list)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        **options: Any,
    ) -> Answer:
        client = replace(self.client, token=token)
        return await client.request(method, f"/auth/v1{path}", json=body, **options)

    async def sign_up(self, email: str = EMAIL, **more: Any) -> Any:
        answer = await self.send("POST", "/signup", {"email": email, "password": PASSWORD, **more})
        assert answer.status == 200, answer
        return answer.body

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD, **more: Any) -> Answer:
        return await self.send(
            "POST",
            "/token?grant_type=password",
            {"email": email, "password": password, **more},
        )

    async def refresh(self, token: str) -> Answer:
        return await self.send("POST", "/token?grant_type=refresh_token", {"refresh_token": token})

    async def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = await self.database.execute(query.encode(), parameters)
        return await cursor.fetchall()

    async def execute(self, query: str, *parameters: Any) -> None:
        await self.database.execute(query.encode(), parameters)

    async def state(self) -> list[tuple[Any, ...]]:
        """Everything that a refused request must not change."""
        return await self.rows(
            "SELECT (SELECT json_agg(u ORDER BY id)::text FROM roost.users AS u),"
            " (SELECT json_agg(d ORDER BY id)::text FROM roost.devices AS d),"
            " (SELECT json_agg(s ORDER BY id)::text FROM roost.sessions AS s)"
        )


@contextlib.asynccontextmanager
async def _serving(
    conninfo: str, hasher: CountingHasher, settings: Settings = SETTINGS
) -> AsyncIterator[AuthServer]:
    tokens = AccessTokens(SECRET, settings.access_token_seconds)
    touched: list[str] = []
    multiplexer = Multiplexer(
        conninfo,
        connections=4,
        slow_connections=0,
        depth=4,
        connect_timeout=5,
        statement_timeout_ms=5000,
    )
    multiplexer.on_touched = touched.append
    await multiplexer.open()
    catalogue = await load_catalogue(multiplexer)
    auth = await Auth.open(
        multiplexer,
        tokens,
        settings,
        catalogue=lambda: catalogue,
        passwords=Passwords(hasher),
    )
    app = web.Application(client_max_size=settings.max_body_bytes)
    app.add_routes(auth.routes())
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as http, await connect(conninfo) as database:
            yield AuthServer(
                Client(f"http://127.0.0.1:{runner.addresses[0][1]}", http),
                database,
                tokens,
                hasher,
                touched,
            )
    finally:
        await runner.cleanup()
        auth.close()
        await multiplexer.close(5)


@pytest.fixture
async def server(database: str) -> AsyncIterator[AuthServer]:
    """A server of the auth endpoints on the test's database."""
    async with _serving(database, CountingHasher()) as served:
        yield served


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
async def test_without_its_keys_there_is_no_server(database: str, name: str) -> None:
    async with await connect(database) as connection:
        await connection.execute("DELETE FROM roost.server_secrets WHERE name = %s", [name])

    with pytest.raises(RoostError) as raised:
        async with serving(database):
            pytest.fail("it serves")

    assert name in raised.value.message
    assert raised.value.hint


def _refused(answer: Answer, status: int, code: str) -> None:
    """In the form that auth-js reads: the code twice, and the version that it goes by."""
    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert answer.body["error_code"] == code
    assert answer.body["message"]
    assert answer.body["hint"]
    assert {"details", "request_id"} < answer.body.keys()
    assert answer.headers["X-Supabase-Api-Version"] == "2024-01-01"
    assert "argon2" not in str(answer.body)


# --- sign-up -------------------------------------------------------------------------------------


async def test_sign_up_opens_a_session(server: AuthServer) -> None:
    session = await server.sign_up("Ada@Example.com", data={"locale": "en"})

    assert session["token_type"] == "bearer"
    assert session["expires_in"] == 3600
    assert abs(session["expires_at"] - time.time() - 3600) < 10
    user = session["user"]
    assert (user["email"], user["aud"], user["role"]) == (EMAIL, "authenticated", "authenticated")
    assert user["user_metadata"] == {"locale": "en"}
    assert user["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert user["email_confirmed_at"] == user["created_at"]
    assert user["identities"][0]["identity_data"]["email"] == EMAIL
    assert user["is_anonymous"] is False

    claims = jwt.decode(session["access_token"], SECRET, ["HS256"], audience="authenticated")
    assert claims["sub"] == user["id"]
    assert claims["email"] == EMAIL
    assert claims["device_id"] == session["device_id"]
    assert await server.rows("SELECT id::text, user_id::text FROM roost.sessions") == [
        (claims["session_id"], user["id"])
    ]
    assert server.hasher.hashed == 1


async def test_the_device_is_what_the_client_says(server: AuthServer) -> None:
    device = {
        "device_name": "Phone",
        "device_type": "phone",
        "platform": "os 1",
        "capabilities": {"push": True},
    }
    session = await server.sign_up(device=device)

    query = "SELECT id::text, device_name, device_type::text, platform, capabilities::jsonb"
    assert await server.rows(query + " FROM roost.devices") == [
        (session["device_id"], *device.values())
    ]


async def test_without_a_word_the_device_is_what_the_headers_say(server: AuthServer) -> None:
    await server.send(
        "POST",
        "/signup",
        {"email": EMAIL, "password": PASSWORD},
        headers={"User-Agent": "browser/1", "X-Client-Info": "supabase-js/2", "X-Roost-Device": ""},
    )

    assert await server.rows(
        "SELECT device_name, device_type::text, platform, user_agent"
        " FROM roost.devices JOIN roost.sessions ON sessions.device_id = devices.id"
    ) == [("", "other", "browser/1 supabase-js/2", "browser/1 supabase-js/2")]


async def test_one_address_has_one_account(server: AuthServer) -> None:
    answers = await asyncio.gather(
        *(
            server.send("POST", "/signup", {"email": email, "password": PASSWORD})
            for email in (EMAIL, "ADA@example.com", "Ada@Example.COM") * 3
        )
    )

    assert sorted(answer.status for answer in answers) == [200] + [422] * 8
    for answer in answers:
        if answer.status != 200:
            _refused(answer, 422, "user_already_exists")
    assert await server.rows("SELECT count(*) FROM roost.users") == [(1,)]
    assert await server.rows("SELECT count(*) FROM roost.devices") == [(1,)]


async def test_a_taken_address_is_refused_before_the_work(server: AuthServer) -> None:
    await server.sign_up()
    server.hasher.hashed = 0
    before = await server.state()

    _refused(await server.send("POST", "/signup", GOOD), 422, "user_already_exists")

    assert server.hasher.hashed == 0
    assert await server.state() == before
    # Else asking which addresses have accounts would cost nothing.
    assert await server.rows("SELECT subject, failures FROM roost.login_attempts") == [
        ("address:sign_up:127.0.0.1", 2)
    ]


async def test_sign_ups_are_slowed_down(server: AuthServer) -> None:
    await server.execute(
        "INSERT INTO roost.login_attempts (subject, failures) VALUES (%s, 99)",
        "address:sign_up:127.0.0.1",
    )
    answers = [
        await server.send("POST", "/signup", {"email": f"{name}@example.com", "password": PASSWORD})
        for name in ("ada", "grace", "nobody")
    ]

    assert [answer.status for answer in answers] == [200, 200, 429]
    _refused(answers[2], 429, "over_request_rate_limit")
    assert answers[2].headers["Retry-After"] in ("1", "2")
    assert server.hasher.hashed == 2
    # Who has an account already is not kept out by newcomers.
    assert (await server.sign_in()).status == 200

    await server.execute("UPDATE roost.login_attempts SET blocked_until = now() - interval '1 s'")
    await server.sign_up("nobody@example.com")


async def test_sign_ups_forget_old_attempts(server: AuthServer) -> None:
    await server.execute(
        "INSERT INTO roost.login_attempts (subject, last_attempt_at)"
        " SELECT 'address:' || n, now() - interval '2 hours' FROM generate_series(1, 12) AS n"
    )
    await server.sign_up()

    assert await server.rows(
        "SELECT count(*) FROM roost.login_attempts WHERE last_attempt_at < now() - interval '1 h'"
    ) == [(2,)]


@pytest.mark.parametrize(
    "email",
    [
        EMAIL,
        "ADA@EXAMPLE.COM",
        "a@b",
        "ä@ö",
        "ada",
        "@",
        "ada@",
        "@example.com",
        "ada@@example.com",
        "ada @example.com",
        "ada@example\n.com",
        "ada@example.com\n",
        "ada@\u0085",
        "ada@\u00a0",
        f"a@{'x' * 252}",
        f"a@{'x' * 253}",
        # In lower case these are two characters each.
        f"a@{'İ' * 126}",
        f"a@{'İ' * 127}",
    ],
)
async def test_an_address_is_judged_before_the_work_as_the_table_judges_it(
    server: AuthServer, email: str
) -> None:
    in_table = None
    try:
        await server.execute(
            "INSERT INTO roost.users (email, password_hash) VALUES (lower(%s), %s)",
            email,
            "$argon2id$v=19$x",
        )
    except psycopg.errors.CheckViolation as error:
        in_table = error.diag.constraint_name
    await server.execute("DELETE FROM roost.users")

    answer = await server.send("POST", "/signup", {"email": email, "password": PASSWORD})

    if in_table is None:
        assert answer.status == 200
    else:
        _refused(answer, 400, "validation_failed")
        assert in_table == "users_email_is_an_address"
        assert "ada@example.com" in answer.body["hint"]
        assert server.hasher.hashed == 0


# --- refusals by form ----------------------------------------------------------------------------

GOOD = {"email": EMAIL, "password": PASSWORD}
LONG = "x" * 1025


UNFIT: list[tuple[str, Any, int, str, str]] = [
    ("/signup", {"password": PASSWORD}, 400, "validation_failed", "email is missing"),
    ("/signup", {"email": EMAIL}, 400, "validation_failed", "password is missing"),
    ("/signup", {"email": 7, "password": PASSWORD}, 400, "validation_failed", "not a string"),
    ("/signup", {"email": "ada", "password": PASSWORD}, 400, "validation_failed", "address"),
    ("/signup", {"email": "a@b\0c", "password": PASSWORD}, 400, "validation_failed", "byte"),
    ("/signup", {**GOOD, "email": f"a@{'x' * 254}"}, 400, "validation_failed", "254"),
    ("/signup", {"email": EMAIL, "password": "1234567"}, 422, "weak_password", "8 to 1024"),
    ("/signup", {"email": EMAIL, "password": LONG}, 422, "weak_password", "8 to 1024"),
    ("/signup", {**GOOD, "data": []}, 400, "validation_failed", "data is not an object"),
    ("/signup", {**GOOD, "data": {"x": "\0"}}, 400, "validation_failed", "u0000"),
    ("/signup", {**GOOD, "data": {"x": "y" * 70_000}}, 400, "validation_failed", "64 KiB"),
    ("/signup", {**GOOD, "device": "x"}, 400, "validation_failed", "not an object"),
    ("/signup", {**GOOD, "device": {"name": "x"}}, 400, "validation_failed", "device_name"),
    ("/signup", {**GOOD, "device": {"platform": 1}}, 400, "validation_failed", "wrong type"),
    ("/signup", {**GOOD, "device": {"capabilities": "x"}}, 400, "validation_failed", "object"),
    ("/signup", {**GOOD, "device": {"device_id": "x"}}, 400, "validation_failed", "UUID"),
    ("/signup", {**GOOD, "device": {"device_type": "toaster"}}, 400, "validation_failed", ""),
    ("/signup", {**GOOD, "device": {"device_name": LONG}}, 400, "validation_failed", "100"),
    ("/signup", [GOOD], 400, "validation_failed", "JSON object"),
    ("/token", GOOD, 400, "validation_failed", "grant type"),
    ("/token?grant_type=pkce", {}, 400, "validation_failed", "grant type"),
    ("/token?grant_type=password", {"email": EMAIL}, 400, "validation_failed", "password"),
    ("/token?grant_type=password", {"password": "x"}, 400, "validation_failed", "email"),
    ("/token?grant_type=password", {**GOOD, "password": 1}, 400, "validation_failed", "string"),
    ("/token?grant_type=password", GOOD, 400, "invalid_credentials", "Invalid login"),
    ("/token?grant_type=refresh_token", {}, 400, "validation_failed", "refresh_token"),
    ("/token?grant_type=refresh_token", {"refresh_token": []}, 400, "validation_failed", ""),
]


async def test_unfit_bodies(server: AuthServer) -> None:
    before = await server.state()
    for path, body, status, code, said in UNFIT:
        answer = await server.send("POST", path, body)

        _refused(answer, status, code)
        assert said in f"{answer.body['message']} {answer.body['hint']}", (path, body)
        assert (code == "weak_password") is (
            answer.body.get("weak_password") == {"reasons": ["length"]}
        )
    assert await server.state() == before


NOT_JSON: list[tuple[bytes, int, str]] = [
    (b"", 400, "bad_json"),
    (b"{", 400, "bad_json"),
    (b"\xff", 400, "bad_json"),
    (b'{"email": "\\ud800"}', 400, "bad_json"),
    (b"[" * 5000, 400, "bad_json"),
    (b'{"x": "' + b"y" * 100_000 + b'"}', 413, "validation_failed"),
]


async def test_what_is_not_json(server: AuthServer) -> None:
    session = await server.sign_up()
    before = await server.state()
    for data, status, code in NOT_JSON:
        for method, path in (
            ("POST", "/signup"),
            ("POST", "/token?grant_type=password"),
            ("POST", "/token?grant_type=refresh_token"),
            ("PUT", "/user"),
        ):
            answer = await server.send(method, path, data=data, token=session["access_token"])

            _refused(answer, status, code)
    assert await server.state() == before


# --- signing in ----------------------------------------------------------------------------------


async def test_sign_in_opens_another_session(server: AuthServer) -> None:
    first = await server.sign_up()
    answer = await server.sign_in("ADA@example.com")

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body["user"]["id"] == first["user"]["id"]
    assert answer.body["device_id"] != first["device_id"]
    assert await server.rows("SELECT count(*) FROM roost.sessions") == [(2,)]


@pytest.mark.parametrize("place", ["body", "header"])
async def test_sign_in_on_a_device_that_one_has(server: AuthServer, place: str) -> None:
    first = await server.sign_up()
    own = first["device_id"]
    answer = (
        await server.sign_in(device={"device_id": own})
        if place == "body"
        else await server.send(
            "POST", "/token?grant_type=password", GOOD, headers={"X-Roost-Device": own}
        )
    )

    assert (answer.status, answer.body["device_id"]) == (200, own)
    assert await server.rows("SELECT count(*) FROM roost.devices") == [(1,)]


async def test_sign_in_on_a_device_that_one_does_not_have(server: AuthServer) -> None:
    grace = await server.sign_up("grace@example.com")
    revoked = await server.sign_up()
    await server.execute(
        "UPDATE roost.devices SET status = 'revoked' WHERE id = %s",
        revoked["device_id"],
    )
    before = await server.state()

    for device_id in (grace["device_id"], revoked["device_id"], str(uuid.uuid4())):
        _refused(await server.sign_in(device={"device_id": device_id}), 404, "not_found")
    assert await server.state() == before


async def test_an_unknown_address_costs_the_same_and_says_the_same(server: AuthServer) -> None:
    await server.sign_up()
    server.hasher.hashed = server.hasher.verified = 0
    work = []
    answers = []
    for email, password in ((EMAIL, "wrong password"), ("nobody@example.com", PASSWORD)):
        answers.append(await server.sign_in(email, password))
        work.append((server.hasher.hashed, server.hasher.verified))
        server.hasher.hashed = server.hasher.verified = 0

    assert work == [(0, 1), (0, 1)]
    for answer in answers:
        _refused(answer, 400, "invalid_credentials")
    assert answers[0].body == answers[1].body


async def test_guesses_are_slowed_down(server: AuthServer) -> None:
    await server.sign_up()
    # All at once, so that none knows of the failure of another.
    answers = await asyncio.gather(
        *(server.sign_in(password=f"wrong password {number}") for number in range(30))
    )

    statuses = sorted(answer.status for answer in answers)
    assert statuses == [400] * 6 + [429] * 24
    assert server.hasher.verified == 6
    # The right password does not get through either: what it costs is the guess.
    refused = await server.sign_in()
    _refused(refused, 429, "over_request_rate_limit")
    assert refused.headers["Retry-After"] in ("1", "2")
    assert server.hasher.verified == 6

    await server.execute("UPDATE roost.login_attempts SET blocked_until = now() - interval '1 s'")
    assert (await server.sign_in()).status == 200
    assert await server.rows(
        "SELECT subject, failures FROM roost.login_attempts ORDER BY subject"
    ) == [("address:127.0.0.1", 6), ("address:sign_up:127.0.0.1", 1)]


async def test_an_outdated_hash_is_replaced(database: str) -> None:
    async with _serving(database, CountingHasher()) as server:
        await server.sign_up()
    async with _serving(database, CountingHasher(time_cost=2)) as server:
        _refused(await server.sign_in(password="wrong password"), 400, "invalid_credentials")
        query = "SELECT password_hash FROM roost.users"
        assert "t=1" in (await server.rows(query))[0][0]
        assert (await server.sign_in()).status == 200
        assert "t=2" in (await server.rows(query))[0][0]
        assert server.hasher.hashed == 1
        assert (await server.sign_in()).status == 200
        assert server.hasher.hashed == 1


async def test_an_account_that_is_not_active_is_shut_out(server: AuthServer) -> None:
    session = await server.sign_up()
    await server.execute("UPDATE roost.users SET status = 'suspended'")

    _refused(await server.sign_in(), 403, "user_banned")
    _refused(await server.refresh(session["refresh_token"]), 403, "user_banned")
    _refused(await server.send("GET", "/user", token=session["access_token"]), 403, "user_banned")
    # Whoever does not know the password does not learn of it.
    _refused(await server.sign_in(password="wrong password"), 400, "invalid_credentials")


async def test_too_many_passwords_at_once_are_refused() -> None:
    hasher = CountingHasher()
    passwords = Passwords(hasher, most_waiting=0)
    try:
        outcomes = await asyncio.gather(
            *(passwords.hash(PASSWORD) for _ in range(50)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, RoostError)]
        assert 0 < len(refused) < 50
        assert {error.status for error in refused} == {503}
        # Room comes back as the work is done.
        assert await passwords.matches(await passwords.hash(PASSWORD), PASSWORD)
    finally:
        passwords.close()


async def test_sign_ups_leave_room_for_sign_ins() -> None:
    hasher = CountingHasher()
    passwords = Passwords(hasher, most_waiting=20)
    try:
        password_hash = await passwords.hash(PASSWORD)
        sign_ups = [
            asyncio.create_task(passwords.hash(PASSWORD, for_sign_up=True)) for _ in range(50)
        ]
        # Begun after all of these.
        sign_ins = [asyncio.create_task(passwords.matches(password_hash, PASSWORD)) for _ in "1234"]
        outcomes = await asyncio.gather(*sign_ups, return_exceptions=True)

        refused = [outcome for outcome in outcomes if isinstance(outcome, RoostError)]
        assert len(refused) == 50 - THREADS - 10
        assert {(error.code, error.status) for error in refused} == {
            ("over_request_rate_limit", 503)
        }
        assert await asyncio.gather(*sign_ins) == [True] * 4
    finally:
        passwords.close()


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "local"),
        ("", "local"),
    ],
)
def test_under_what_an_address_is_counted(remote: str | None, counted: str) -> None:
    assert client_address(_request(remote), ()) == counted
    # Without a trusted proxy nobody chooses under what they are counted.
    assert client_address(_request(remote, "198.51.100.1"), ()) == counted


def _request(remote: str | None, *forwarded: str) -> web.Request:
    headers = CIMultiDict(("X-Forwarded-For", value) for value in forwarded)
    return cast("web.Request", SimpleNamespace(remote=remote, headers=headers))


@pytest.mark.parametrize(
    ("remote", "forwarded", "counted"),
    [
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        # What the client claims of itself stands on the left.
        ("10.0.0.1", ["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.1", "192.0.2.1,10.0.0.2", "fd00::1"], "192.0.2.1"),
        ("10.0.0.1", ["10.0.0.3 , 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, \udcff, 10.0.0.2"], "10.0.0.2"),
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("", ["198.51.100.1"], "local"),
    ],
)
def test_whom_a_trusted_proxy_serves(remote: str, forwarded: list[str], counted: str) -> None:
    proxies = Settings.from_environment(
        {"ROOST_TRUSTED_PROXIES": "10.0.0.0/8, fd00::1"}
    ).trusted_proxies

    assert client_address(_request(remote, *forwarded), proxies) == counted


async def test_clients_of_a_proxy_are_counted_apart(database: str) -> None:
    settings = replace(SETTINGS, trusted_proxies=(ipaddress.ip_network("127.0.0.1"),))
    async with _serving(database, CountingHasher(), settings) as server:
        for path, headers in (
            ("/signup", {"X-Forwarded-For": "192.0.2.1"}),
            ("/token?grant_type=password", {"X-Forwarded-For": "198.51.100.1, 192.0.2.2"}),
            ("/token?grant_type=password", {}),
        ):
            answer = await server.send("POST", path, GOOD, headers=headers)
            assert answer.status == 200
        subjects = await server.rows("SELECT subject FROM roost.login_attempts ORDER BY subject")

    assert subjects == [
        ("address:127.0.0.1",),
        ("address:192.0.2.2",),
        ("address:sign_up:192.0.2.1",),
    ]


# --- refreshing ----------------------------------------------------------------------------------


async def test_refreshing_replaces_the_token(server: AuthServer) -> None:
    first = await server.sign_up()
    answer = await server.refresh(first["refresh_token"])

    assert answer.status == 200
    assert answer.body["refresh_token"] != first["refresh_token"]
    assert answer.body["device_id"] == first["device_id"]
    claims = jwt.decode(answer.body["access_token"], SECRET, ["HS256"], audience="authenticated")
    assert [(claims["session_id"],)] == await server.rows("SELECT id::text FROM roost.sessions")
    again = await server.refresh(answer.body["refresh_token"])
    assert again.status == 200
    sessions = (first, answer.body, again.body)
    assert len({session["refresh_token"] for session in sessions}) == 3
    assert server.touched == []


async def test_a_token_sent_many_times_at_once_has_one_successor(server: AuthServer) -> None:
    first = await server.sign_up()
    answers = await asyncio.gather(*(server.refresh(first["refresh_token"]) for _ in range(10)))

    assert {answer.status for answer in answers} == {200}
    successors = {answer.body["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert (await server.refresh(successors.pop())).status == 200


async def test_an_old_token_ends_the_session(server: AuthServer) -> None:
    first = await server.sign_up()
    second = (await server.refresh(first["refresh_token"])).body
    other = (await server.sign_in()).body
    await server.execute(
        "UPDATE roost.sessions SET refreshed_at = refreshed_at - interval '11 s'"
        " WHERE refreshed_at IS NOT NULL"
    )

    _refused(await server.refresh(first["refresh_token"]), 400, "refresh_token_already_used")

    _refused(await server.refresh(second["refresh_token"]), 400, "refresh_token_not_found")
    _refused(
        await server.send("GET", "/user", token=second["access_token"]), 401, "session_not_found"
    )
    session_id = server.tokens.verify(first["access_token"]).session_id
    assert server.touched[-1] == f"!session:{session_id}"
    # The person's other sessions are none of its family.
    assert (await server.refresh(other["refresh_token"])).status == 200


async def test_a_token_from_two_rotations_ago_ends_the_session(server: AuthServer) -> None:
    first = await server.sign_up()
    second = (await server.refresh(first["refresh_token"])).body
    third = (await server.refresh(second["refresh_token"])).body

    _refused(await server.refresh(first["refresh_token"]), 400, "refresh_token_already_used")
    _refused(await server.refresh(third["refresh_token"]), 400, "refresh_token_not_found")


async def test_a_forged_token_ends_the_session(server: AuthServer) -> None:
    session = await server.sign_up()
    real = RefreshToken.parse(session["refresh_token"])
    assert real is not None
    forged = RefreshToken(real.session_id, new_secret())

    _refused(await server.refresh(str(forged)), 400, "refresh_token_already_used")
    _refused(await server.refresh(session["refresh_token"]), 400, "refresh_token_not_found")


async def test_what_is_no_refresh_token(server: AuthServer) -> None:
    session = await server.sign_up()
    token: str = session["refresh_token"]
    unknown = str(RefreshToken(uuid.uuid4(), new_secret()))
    before = await server.state()
    for bad in ("x", token[:-1], token + "=", token[:-1] + "+", token[:-1] + "\n", unknown):
        _refused(await server.refresh(bad), 400, "refresh_token_not_found")

    assert await server.state() == before
    assert (await server.refresh(token)).status == 200


async def test_an_expired_session_is_not_refreshed(server: AuthServer) -> None:
    session = await server.sign_up()
    await server.execute("UPDATE roost.sessions SET expires_at = now()")

    _refused(await server.refresh(session["refresh_token"]), 400, "refresh_token_not_found")


# --- the user ------------------------------------------------------------------------------------


async def test_the_user_is_read_and_changed(server: AuthServer) -> None:
    session = await server.sign_up(data={"a": 1, "b": 2})
    token = session["access_token"]

    read = await server.send("GET", "/user", token=token)
    assert (read.status, read.body) == (200, session["user"])

    changed = await server.send(
        "PUT",
        "/user",
        # As auth-js sends it.
        {
            "data": {"b": None, "c": 3},
            "email": "Countess@example.com",
            "code_challenge": None,
            "code_challenge_method": None,
        },
        token=token,
    )
    assert changed.status == 200
    assert changed.body["user_metadata"] == {"a": 1, "c": 3}
    assert changed.body["email"] == "countess@example.com"
    assert (await server.send("GET", "/user", token=token)).body == changed.body
    assert (await server.sign_in("countess@example.com")).status == 200
    _refused(await server.sign_in(EMAIL), 400, "invalid_credentials")


async def test_a_new_password_ends_the_other_sessions(server: AuthServer) -> None:
    await server.sign_up()
    others = [(await server.sign_in()).body for _ in range(2)]
    mine = (await server.sign_in()).body
    changed = await server.send(
        "PUT", "/user", {"password": "another password"}, token=mine["access_token"]
    )

    assert changed.status == 200
    (ended,) = [touched for touched in server.touched if "!session:" in touched]
    assert len(ended.splitlines()) == 3
    for other in others:
        _refused(
            await server.send("GET", "/user", token=other["access_token"]),
            401,
            "session_not_found",
        )
        _refused(await server.refresh(other["refresh_token"]), 400, "refresh_token_not_found")
    assert (await server.refresh(mine["refresh_token"])).status == 200
    _refused(await server.sign_in(), 400, "invalid_credentials")
    assert (await server.sign_in(password="another password")).status == 200


UNFIT_CHANGES: list[tuple[Any, int, str]] = [
    ({"email": "grace@example.com"}, 422, "user_already_exists"),
    ({"email": "no address"}, 400, "validation_failed"),
    ({"email": []}, 400, "validation_failed"),
    ({"password": "short"}, 422, "weak_password"),
    ({"password": ""}, 422, "weak_password"),
    ({"password": 12345678}, 400, "validation_failed"),
    ({"data": "x"}, 400, "validation_failed"),
    ({"data": {"x": "y" * 70_000}}, 400, "validation_failed"),
    ({"phone": "+1"}, 422, "phone_provider_disabled"),
    ({"app_metadata": {"admin": True}}, 403, "not_admin"),
    ({"password": PASSWORD, "current_password": "x"}, 400, "validation_failed"),
]


async def test_unfit_changes_of_the_user(server: AuthServer) -> None:
    await server.sign_up("grace@example.com")
    session = await server.sign_up()
    before = await server.state()
    for body, status, code in UNFIT_CHANGES:
        answer = await server.send("PUT", "/user", body, token=session["access_token"])

        _refused(answer, status, code)
    assert await server.state() == before


# --- without a session ---------------------------------------------------------------------------

SESSION_ENDPOINTS = [("GET", "/user"), ("PUT", "/user"), ("POST", "/logout")]


@pytest.mark.parametrize(("method", "path"), SESSION_ENDPOINTS)
async def test_endpoints_for_signed_in_people(server: AuthServer, method: str, path: str) -> None:
    session = await server.sign_up()
    before = await server.state()
    now = int(time.time())
    key = {"role": "service_role", "exp": now + 60}
    good = jwt.decode(session["access_token"], SECRET, ["HS256"], audience="authenticated")

    def signed(claims: dict[str, Any], secret: str = SECRET) -> str:
        return jwt.encode(claims, secret, algorithm="HS256")

    for token, status, code in (
        (None, 401, "no_authorization"),
        (signed(key), 401, "no_authorization"),
        (signed({**key, "role": "anon"}), 401, "no_authorization"),
        ("nonsense", 401, "bad_jwt"),
        (signed(good, SECRET[::-1]), 401, "bad_jwt"),
        (signed({**good, "exp": now - 31}), 401, "bad_jwt"),
        (signed({**good, "session_id": str(uuid.uuid4())}), 401, "session_not_found"),
    ):
        body = {"data": {"x": 1}} if method == "PUT" else None
        answer = await server.send(method, path, body, token=token)
        _refused(answer, status, code)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    key_as_token = {"apikey": "sb_publishable_x", "Authorization": "Bearer sb_publishable_x"}
    _refused(
        await server.send(method, path, {} if method == "PUT" else None, headers=key_as_token),
        401,
        "no_authorization",
    )
    assert await server.state() == before


# --- signing out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "ended"),
    [
        ("?scope=local", [True, False, False]),
        ("?scope=others", [False, True, True]),
        ("?scope=global", [True, True, True]),
        ("", [True, True, True]),
    ],
)
async def test_signing_out(server: AuthServer, query: str, ended: list[bool]) -> None:
    grace = await server.sign_up("grace@example.com")
    await server.sign_up()
    await server.execute("DELETE FROM roost.sessions WHERE user_id <> %s", _id(grace))
    sessions = [(await server.sign_in()).body for _ in range(3)]

    answer = await server.send("POST", "/logout" + query, token=sessions[0]["access_token"])

    assert (answer.status, answer.body) == (204, None)
    for session, over in zip(sessions, ended, strict=True):
        read = await server.send("GET", "/user", token=session["access_token"])
        assert read.status == (401 if over else 200)
        refreshed = await server.refresh(session["refresh_token"])
        assert refreshed.status == (400 if over else 200)
    assert len(server.touched[-1].splitlines()) == sum(ended)
    assert (await server.send("GET", "/user", token=grace["access_token"])).status == 200


def _id(session: Any) -> str:
    user_id: str = session["user"]["id"]
    return user_id


async def test_an_unknown_scope_is_refused(server: AuthServer) -> None:
    session = await server.sign_up()
    before = await server.state()

    for scope in ("all", "LOCAL", "%00", "%ff"):
        answer = await server.send("POST", f"/logout?scope={scope}", token=session["access_token"])
        _refused(answer, 400, "validation_failed")
    assert await server.state() == before


async def test_signing_out_twice(server: AuthServer) -> None:
    session = await server.sign_up()
    await server.send("POST", "/logout", token=session["access_token"])

    answer = await server.send("POST", "/logout", token=session["access_token"])
    # auth-js takes this for success.
    _refused(answer, 401, "session_not_found")


# --- secrets -------------------------------------------------------------------------------------


async def test_nothing_secret_is_logged(
    server: AuthServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = await server.sign_up()
    await server.sign_in(password="wrong password")
    await server.sign_in(password="wrong\0password")
    await server.send("POST", "/signup", {"email": "x", "password": PASSWORD})
    second = (await server.refresh(session["refresh_token"])).body
    await server.refresh(second["refresh_token"])
    await server.refresh(session["refresh_token"])
    stored = (await server.rows("SELECT password_hash FROM roost.users"))[0][0]

    assert "is over" in caplog.text
    for secret in (
        PASSWORD,
        "wrong",
        stored,
        session["access_token"],
        session["refresh_token"],
        second["refresh_token"],
    ):
        assert secret not in caplog.text
    token = RefreshToken.parse(session["refresh_token"])
    assert "secret" not in repr(token)
