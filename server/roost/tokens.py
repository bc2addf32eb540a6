"""Access tokens: short-lived JWTs (RFC 7519, HS256) that say who calls, and in which session.

Whether the session still lives is not written in them: `roost.begin_call` looks at each call.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import jwt

from roost.database.pipeline import Identity, Multiplexer
from roost.database.queries import GET_SERVER_SECRET
from roost.errors import RoostError

ALGORITHM: Final = "HS256"
AUDIENCE: Final = "authenticated"
ISSUER: Final = "roost"

# Seconds by which clocks may differ; PostgREST allows the same.
LEEWAY: Final = 30
# Longer than a header line may be; ours have some 500 characters.
MOST_CHARACTERS: Final = 8192
# Verified tokens that are remembered, of some 1 KB each.
REMEMBERED: Final = 10_000

# The claim `role`, as Supabase's clients and keys have it, and what it is called in here.
ROLES: Final[Mapping[str, str]] = {
    "authenticated": "user",
    "service_role": "service",
    "anon": "anon",
}

ANONYMOUS: Final = Identity(b"anon", None)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Claims:
    """
    What a verified token says.

    role -- anon, user or service; only a user has the ids
    expires_at -- Unix time in seconds
    """

    role: str
    session_id: str | None
    user_id: str | None
    device_id: str | None
    expires_at: int


class Memory(Generic[Value]):
    """
    Keeps the most recently used values, up to `limit`.

    In two halves: what is used moves to the young half; when that is full, it becomes the old one,
    and what had not been used since is forgotten. A hit among the young is one dictionary look-up.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: dict[str, Value] = {}
        self._old: dict[str, Value] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: str) -> Value | None:
        """The value, which then counts as used; None where there is none."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: str, value: Value) -> None:
        """Keeps a value."""
        if len(self._young) >= self._half:
            self._old = self._young
            self._young = {}
        self._young[key] = value


class AccessTokens:
    """Issues and verifies tokens. Verified ones are remembered until they expire."""

    def __init__(self, secret: str, lifetime_seconds: int, remembered: int = REMEMBERED) -> None:
        """
        secret -- the key is its bytes
        lifetime_seconds -- of the tokens issued
        remembered -- tokens kept, at most
        """
        self._key = secret.encode()
        self.lifetime_seconds = lifetime_seconds
        self._claims: Memory[Claims] = Memory(remembered)
        self._identities: Memory[tuple[Identity, int]] = Memory(remembered)

    def issue(
        self, *, user_id: str, session_id: str, device_id: str, email: str
    ) -> tuple[str, int]:
        """A token for a person's session, and when it expires (Unix time in seconds)."""
        issued_at = int(time.time())
        expires_at = issued_at + self.lifetime_seconds
        token = jwt.encode(
            {
                "iss": ISSUER,
                "sub": user_id,
                "aud": AUDIENCE,
                "exp": expires_at,
                "iat": issued_at,
                "role": "authenticated",
                "email": email,
                "session_id": session_id,
                "device_id": device_id,
                "aal": "aal1",
                "is_anonymous": False,
            },
            self._key,
            algorithm=ALGORITHM,
        )
        return token, expires_at

    def verify(self, token: str) -> Claims:
        """
        What a token says. Raises RoostError with status 401: PGRST301 for what is no token of this
        server, PGRST303 for one that has expired or makes claims that are not accepted.
        """
        claims = self._claims.get(token)
        if claims is None:
            claims = _claims(_decode(token, self._key))
            self._claims.put(token, claims)
        elif claims.expires_at + LEEWAY <= time.time():
            raise _expired()
        return claims

    def identity(self, headers: Mapping[str, str]) -> Identity:
        """
        On whose behalf a request is to be carried out. No token is anonymous, and so is the API key
        that supabase-js sends as a token while nobody is signed in. Raises RoostError, as verify().
        """
        authorization = headers.get("Authorization")
        if authorization is None:
            return ANONYMOUS
        known = self._identities.get(authorization)
        if known is not None and known[1] > time.time():
            return known[0]
        token = bearer_token(headers)
        if token is None:
            return ANONYMOUS
        claims = self.verify(token)
        session_id = None if claims.session_id is None else claims.session_id.encode()
        identity = Identity(claims.role.encode(), session_id)
        self._identities.put(authorization, (identity, claims.expires_at + LEEWAY))
        return identity


async def read_server_secret(multiplexer: Multiplexer, name: str) -> str:
    """
    The key that the servers of the database share for one purpose. Raises RoostError when it is
    missing: tokens of an empty key could be made by anybody.

    name -- access_token or refresh_token
    """
    rows = await multiplexer.call(GET_SERVER_SECRET, (name.encode(),), None)
    secret = rows[0][0]
    if secret is None:
        raise RoostError(
            code="XX000",
            message=f"The key {name} is missing in roost.server_secrets.",
            details=None,
            hint=(
                "Restore the row from a backup, or insert one with this name and a random value of"
                " 64 hexadecimal digits."
            ),
            status=500,
        )
    return secret.decode()


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """
    The token of a request, None where it has none: without the header, with another scheme than
    Bearer (as PostgREST has it), or where it is the `apikey` and that is no JWT.
    """
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    token = token.strip()
    if token.count(".") != 2 and token == headers.get("apikey"):
        return None
    return token


def _decode(token: str, key: bytes) -> dict[str, Any]:
    if len(token) > MOST_CHARACTERS:
        raise _malformed("It is too long.")
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            # The audience is looked at below: keys for services have none.
            options={"require": ["exp"], "verify_aud": False},
            leeway=LEEWAY,
        )
    except jwt.ExpiredSignatureError:
        raise _expired() from None
    except (jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError):
        raise _refused("It is not valid yet.") from None
    except jwt.MissingRequiredClaimError as error:
        raise _refused(f"It has no claim {error.claim}.") from None
    except jwt.InvalidSignatureError:
        raise _malformed("Its signature is wrong.") from None
    except jwt.InvalidAlgorithmError:
        raise _malformed(f"It is not signed with {ALGORITHM}.") from None
    except (jwt.InvalidTokenError, ArithmeticError, RecursionError, TypeError, ValueError):
        # The last ones come from JSON that is nested too deep, or times that are no numbers.
        raise _malformed("It is not a JWT.") from None


def _claims(payload: dict[str, Any]) -> Claims:
    role = payload.get("role")
    expires_at = int(payload["exp"])
    if not isinstance(role, str) or role not in ROLES:
        raise _refused("Its role is unknown.")
    if role != "authenticated":
        return Claims(ROLES[role], None, None, None, expires_at)
    audience = payload.get("aud")
    if audience not in (AUDIENCE, [AUDIENCE]):
        raise _refused("It is for another audience.")
    return Claims(
        role=ROLES[role],
        session_id=_uuid(payload, "session_id"),
        user_id=_uuid(payload, "sub"),
        device_id=_uuid(payload, "device_id"),
        expires_at=expires_at,
    )


def _uuid(payload: dict[str, Any], claim: str) -> str:
    try:
        return str(uuid.UUID(payload[claim]))
    except (KeyError, ValueError, AttributeError, TypeError):
        raise _refused(f"Its claim {claim} is no UUID.") from None


def _malformed(reason: str) -> RoostError:
    return RoostError(
        code="PGRST301",
        message="The access token could not be decoded.",
        details=reason,
        hint="Send the access_token of the last sign-in or refresh.",
        status=401,
    )


def _refused(reason: str) -> RoostError:
    return RoostError(
        code="PGRST303",
        message="The access token is not accepted.",
        details=reason,
        hint="Send the access_token of the last sign-in or refresh.",
        status=401,
    )


def _expired() -> RoostError:
    # PostgREST's message, which its clients look for.
    return RoostError(
        code="PGRST303",
        message="JWT expired",
        details=None,
        hint="Refresh the session: POST /auth/v1/token?grant_type=refresh_token.",
        status=401,
    )
