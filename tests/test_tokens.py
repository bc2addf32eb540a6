"""Access tokens: what is accepted, what is refused and how, what is remembered."""

import base64
import time
import uuid
from typing import Any

import jwt
import orjson
import pytest

from roost.database.pipeline import Identity
from roost.errors import RoostError
from roost.tokens import ANONYMOUS, LEEWAY, AccessTokens, Claims, Memory

SECRET = "a secret of the tests, long enough for every algorithm of HMAC-SHA2"
OTHER = SECRET[::-1]
USER_ID, SESSION_ID, DEVICE_ID = (str(uuid.uuid4()) for _ in range(3))


@pytest.fixture
def tokens() -> AccessTokens:
    """Issues tokens for an hour."""
    return AccessTokens(SECRET, 3600)


def _payload(**claims: Any) -> dict[str, Any]:
    """Claims as they are issued, with some replaced; None leaves one out."""
    issued = {
        "sub": USER_ID,
        "aud": "authenticated",
        "role": "authenticated",
        "email": "ada@example.com",
        "session_id": SESSION_ID,
        "device_id": DEVICE_ID,
        "iat": int(time.time()),
        "exp": int(time.time()) + 3600,
    }
    return {name: value for name, value in {**issued, **claims}.items() if value is not None}


def _signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode(_payload(**claims), secret, algorithm=algorithm)


def _handmade(header: bytes, payload: bytes, signature: bytes = b"") -> str:
    parts = (header, payload, signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_what_is_issued_is_accepted(tokens: AccessTokens) -> None:
    token, expires_at = tokens.issue(
        user_id=USER_ID, session_id=SESSION_ID, device_id=DEVICE_ID, email="ada@example.com"
    )

    assert abs(expires_at - time.time() - 3600) < 5
    assert tokens.verify(token) == Claims("user", SESSION_ID, USER_ID, DEVICE_ID, expires_at)
    assert tokens.identity({"Authorization": f"Bearer {token}"}) == Identity(
        b"user", SESSION_ID.encode()
    )
    # GoTrue's claims, as its clients look for them.
    assert jwt.decode(token, SECRET, algorithms=["HS256"], audience="authenticated") == {
        "iss": "roost",
        "sub": USER_ID,
        "aud": "authenticated",
        "exp": expires_at,
        "iat": expires_at - 3600,
        "role": "authenticated",
        "email": "ada@example.com",
        "session_id": SESSION_ID,
        "device_id": DEVICE_ID,
        "aal": "aal1",
        "is_anonymous": False,
    }


@pytest.mark.parametrize(
    ("role", "identity"),
    [("anon", Identity(b"anon", None)), ("service_role", Identity(b"service", None))],
)
def test_keys_of_applications_and_services(
    tokens: AccessTokens, role: str, identity: Identity
) -> None:
    token = jwt.encode({"role": role, "exp": int(time.time()) + 60}, SECRET, algorithm="HS256")

    assert tokens.identity({"Authorization": f"Bearer {token}", "apikey": token}) == identity


def _nested() -> str:
    return _handmade(b'{"alg":"HS256"}', b"[" * 5000)


@pytest.mark.parametrize(
    ("token", "code", "details"),
    [
        ("", "PGRST301", "not a JWT"),
        ("nonsense", "PGRST301", "not a JWT"),
        ("a.b.c", "PGRST301", "not a JWT"),
        ("é.ü.ß", "PGRST301", "not a JWT"),
        ("x" * 8193, "PGRST301", "too long"),
        (_nested(), "PGRST301", "signature"),
        (_handmade(b"[" * 5000, b"{}"), "PGRST301", "not a JWT"),
        (_handmade(b'{"alg":"none"}', orjson.dumps(_payload())), "PGRST301", "HS256"),
        (_handmade(b'{"alg":"NONE"}', orjson.dumps(_payload())), "PGRST301", "HS256"),
        (_handmade(b'{"alg":"RS256"}', orjson.dumps(_payload()), b"x"), "PGRST301", "HS256"),
        (_handmade(b'{"typ":"JWT"}', orjson.dumps(_payload()), b"x"), "PGRST301", "HS256"),
        (_signed(algorithm="HS512"), "PGRST301", "HS256"),
        (_signed(OTHER), "PGRST301", "signature"),
        (_signed()[:-4] + "AAAA", "PGRST301", "signature"),
        (_signed(exp=None), "PGRST303", "no claim exp"),
        (_signed(exp="soon"), "PGRST301", "not a JWT"),
        (_signed(exp=int(time.time()) - LEEWAY - 1), "PGRST303", None),
        (_signed(nbf=int(time.time()) + 1800), "PGRST303", "not valid yet"),
        (_signed(iat=int(time.time()) + 1800), "PGRST303", "not valid yet"),
        (_signed(role=None), "PGRST303", "role"),
        (_signed(role="postgres"), "PGRST303", "role"),
        (_signed(role=["anon"]), "PGRST303", "role"),
        (_signed(aud=None), "PGRST303", "audience"),
        (_signed(aud="others"), "PGRST303", "audience"),
        (_signed(sub=None), "PGRST303", "sub"),
        (_signed(sub="ada"), "PGRST303", "sub"),
        (_signed(session_id=None), "PGRST303", "session_id"),
        (_signed(session_id=7), "PGRST303", "session_id"),
        (_signed(device_id="' OR true"), "PGRST303", "device_id"),
    ],
)
def test_what_is_refused(tokens: AccessTokens, token: str, code: str, details: str | None) -> None:
    for attempt in (tokens.verify, lambda it: tokens.identity({"Authorization": f"Bearer {it}"})):
        with pytest.raises(RoostError) as raised:
            attempt(token)

        error = raised.value
        assert (error.code, error.status) == (code, 401)
        assert (details or "") in (error.details or "")
        assert error.hint
        # A token that is refused may still be good elsewhere: it is not repeated.
        assert len(token) < 8 or token not in f"{error.message} {error.details} {error.hint}"


def test_clocks_may_differ(tokens: AccessTokens) -> None:
    now = int(time.time())

    for token in (
        _signed(exp=now - LEEWAY + 5),
        _signed(iat=now + LEEWAY - 5),
        _signed(nbf=now + LEEWAY - 5),
    ):
        assert tokens.verify(token).user_id == USER_ID


def test_a_remembered_token_expires(tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = _signed()
    headers = {"Authorization": f"Bearer {token}"}
    claims = tokens.verify(token)
    assert tokens.verify(token) is claims
    assert tokens.identity(headers) is tokens.identity(headers)

    later = time.time() + 3600 + LEEWAY + 1
    monkeypatch.setattr(time, "time", lambda: later)

    for attempt in (lambda: tokens.verify(token), lambda: tokens.identity(headers)):
        with pytest.raises(RoostError) as raised:
            attempt()
        assert (raised.value.code, raised.value.message) == ("PGRST303", "JWT expired")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"apikey": "sb_publishable_x"},
        {"Authorization": "Bearer sb_publishable_x", "apikey": "sb_publishable_x"},
        {"Authorization": "Basic YWRhOng="},
    ],
)
def test_no_token_is_anonymous(tokens: AccessTokens, headers: dict[str, str]) -> None:
    assert tokens.identity(headers) == ANONYMOUS


def test_a_key_that_is_a_token_is_verified(tokens: AccessTokens) -> None:
    forged = _signed(OTHER)

    with pytest.raises(RoostError):
        tokens.identity({"Authorization": f"Bearer {forged}", "apikey": forged})
    with pytest.raises(RoostError):
        tokens.identity({"Authorization": "Bearer sb_publishable_x", "apikey": "other"})


def test_the_scheme_is_read_in_any_case(tokens: AccessTokens) -> None:
    identity = tokens.identity({"Authorization": f"bearer  {_signed()} "})

    assert identity == Identity(b"user", SESSION_ID.encode())


def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    memory: Memory[int] = Memory(10)
    for number in range(1000):
        memory.put(str(number), number)
        # Asked for all the time, so never forgotten.
        assert memory.get("0") == 0
        assert len(memory) <= 10
    assert memory.get("500") is None


def test_tokens_remembered_are_bounded() -> None:
    tokens = AccessTokens(SECRET, 3600, remembered=4)
    for number in range(20):
        tokens.identity({"Authorization": f"Bearer {_signed(email=f'{number}@example.com')}"})

    assert len(tokens._claims) <= 4
    assert len(tokens._identities) <= 4
