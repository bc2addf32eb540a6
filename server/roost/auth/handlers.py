"""The endpoints of /auth/v1."""

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import orjson
from aiohttp import web

from roost.auth.answers import gotrue_error, gotrue_response, json_response, user_json
from roost.auth.passwords import LEAST_CHARACTERS, MOST_CHARACTERS, Passwords
from roost.auth.refresh_tokens import RefreshToken, digest, new_secret
from roost.auth.requests import (
    client_address,
    client_software,
    invalid,
    read_device,
    read_json,
    read_object,
    read_text,
    require_text,
)
from roost.database.catalogue import Catalogue
from roost.database.pipeline import Multiplexer, Statement
from roost.database.queries import (
    BEGIN_SIGN_IN,
    BEGIN_SIGN_UP,
    END_SESSIONS,
    FINISH_SIGN_IN,
    GET_USER,
    REFRESH_SESSION,
    SIGN_UP,
    UPDATE_USER,
)
from roost.errors import DatabaseError, RoostError
from roost.responses import translated
from roost.settings import Settings
from roost.tokens import AccessTokens, bearer_token, read_server_secret

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# What auth-js may send to PUT /user and this server does not do. Passing over it in silence would
# have the caller believe that it was done.
NOT_DONE: Final = {
    "phone": ("phone_provider_disabled", "There are no phone numbers here.", 422),
    "app_metadata": ("not_admin", "app_metadata is not for users to change.", 403),
    "current_password": ("validation_failed", "current_password is not checked here.", 400),
}


class Auth:
    """Serves the endpoints. Close it to end the threads that hash passwords."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        tokens: AccessTokens,
        settings: Settings,
        *,
        catalogue: Callable[[], Catalogue],
        refresh_secret: str,
        passwords: Passwords,
    ) -> None:
        """
        catalogue -- gives what is known of error codes and constraints at that moment
        refresh_secret -- the key from which refresh tokens get their successors
        """
        self._multiplexer = multiplexer
        self._tokens = tokens
        self._lifetime = b"%d days" % settings.refresh_token_days
        self._trusted_proxies = settings.trusted_proxies
        self._catalogue = catalogue
        self._refresh_key = refresh_secret.encode()
        self._passwords = passwords

    @classmethod
    async def open(
        cls,
        multiplexer: Multiplexer,
        tokens: AccessTokens,
        settings: Settings,
        *,
        catalogue: Callable[[], Catalogue],
        passwords: Passwords | None = None,
    ) -> Self:
        """With the key that is kept in the database. Raises RoostError where there is none."""
        return cls(
            multiplexer,
            tokens,
            settings,
            catalogue=catalogue,
            refresh_secret=await read_server_secret(multiplexer, "refresh_token"),
            passwords=passwords or Passwords(),
        )

    def close(self) -> None:
        """Takes no more passwords."""
        self._passwords.close()

    def routes(self) -> list[web.RouteDef]:
        """The routes of this protocol."""
        return [
            web.post("/auth/v1/signup", self._answering(self._sign_up)),
            web.post("/auth/v1/token", self._answering(self._token)),
            web.get("/auth/v1/user", self._answering(self._get_user)),
            web.put("/auth/v1/user", self._answering(self._update_user)),
            web.post("/auth/v1/logout", self._answering(self._log_out)),
        ]

    def _answering(self, handler: Handler) -> Handler:
        """Has the errors of a handler answered in GoTrue's shape."""

        @functools.wraps(handler)
        async def answer(request: web.Request) -> web.StreamResponse:
            catalogue = self._catalogue()
            try:
                return await handler(request)
            except DatabaseError as refusal:
                error = translated(refusal, catalogue.statuses, catalogue.hints, anonymous=False)
            except RoostError as refusal:
                error = refusal
            except web.HTTPRequestEntityTooLarge:
                error = RoostError(
                    code="validation_failed",
                    message="The body is too large.",
                    details=None,
                    hint="Send a smaller one.",
                    status=413,
                )
            return gotrue_response(gotrue_error(error, catalogue.error_names))

        return answer

    async def _call(self, statement: Statement, *parameters: bytes | None) -> dict[str, Any]:
        """Runs a statement as the gateway; its columns are a JSON object and what was touched."""
        rows = await self._multiplexer.call(statement, parameters, None)
        row: dict[str, Any] = orjson.loads(rows[0][0] or b"{}")
        return row

    # --- POST /signup ----------------------------------------------------------------------------

    async def _sign_up(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        email = require_text(body, "email").encode()
        password = _acceptable(require_text(body, "password"))
        metadata = read_json(body, "data")
        device = read_device(request, body)
        address = client_address(request, self._trusted_proxies).encode()

        begun = await self._call(BEGIN_SIGN_UP, email, address)
        if not begun["email_is_free"]:
            raise self._domain_error(
                "RO107",
                "This e-mail address belongs to an account.",
                "Sign in, or use another e-mail address.",
            )
        password_hash = await self._passwords.hash(password, for_sign_up=True)
        secret = new_secret()
        signed_in = await self._call(
            SIGN_UP,
            email,
            password_hash.encode(),
            metadata,
            _bytea(digest(secret)),
            self._lifetime,
            client_software(request),
            device,
        )
        return self._session(signed_in, secret)

    # --- POST /token -----------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        match request.query.get("grant_type"):
            case "password":
                return await self._sign_in(request)
            case "refresh_token":
                return await self._refresh(request)
            case _:
                raise invalid(
                    "This grant type is not supported.",
                    None,
                    "Send grant_type=password or grant_type=refresh_token in the query.",
                )

    async def _sign_in(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        email = require_text(body, "email").encode()
        password = require_text(body, "password")
        device = read_device(request, body)
        address = client_address(request, self._trusted_proxies).encode()

        candidate = await self._call(BEGIN_SIGN_IN, email, address)
        checked_hash: str | None = candidate["password_hash"]
        # The same work whether there is such a person or not.
        right = await self._passwords.matches(checked_hash, password)
        if checked_hash is None or not right:
            raise _wrong_credentials()

        new_hash = None
        if self._passwords.is_outdated(checked_hash):
            new_hash = (await self._passwords.hash(password)).encode()
        secret = new_secret()
        signed_in = await self._call(
            FINISH_SIGN_IN,
            candidate["user_id"].encode(),
            email,
            address,
            checked_hash.encode(),
            new_hash,
            _bytea(digest(secret)),
            self._lifetime,
            client_software(request),
            device,
        )
        if signed_in["session_id"] is None:
            raise _wrong_credentials()
        return self._session(signed_in, secret)

    async def _refresh(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        presented = RefreshToken.parse(require_text(body, "refresh_token"))
        if presented is None:
            raise self._no_such_refresh_token()
        successor = presented.successor(self._refresh_key)
        refreshed = await self._call(
            REFRESH_SESSION,
            str(presented.session_id).encode(),
            _bytea(digest(presented.secret)),
            _bytea(digest(successor.secret)),
            self._lifetime,
        )
        match refreshed["outcome"]:
            case "rotated" | "repeated":
                return self._session(refreshed["session"], successor.secret)
            case "replayed":
                logger.warning(
                    "an old refresh token came back: session %s is over", presented.session_id
                )
                # Raised here and not in the database, where it would undo the revocation.
                raise self._domain_error(
                    "RO105",
                    "This refresh token was used before, so its session is over.",
                    "Sign in again. If nobody but you had the token, store each new one at once.",
                )
            case _:
                raise self._no_such_refresh_token()

    # --- /user -----------------------------------------------------------------------------------

    async def _get_user(self, request: web.Request) -> web.Response:
        return json_response(user_json(await self._call(GET_USER, self._session_id(request))))

    async def _update_user(self, request: web.Request) -> web.Response:
        session_id = self._session_id(request)
        body = await read_object(request)
        for key, (code, message, status) in NOT_DONE.items():
            if body.get(key):
                raise RoostError(
                    code=code,
                    message=message,
                    details=None,
                    hint=f"Leave {key} out.",
                    status=status,
                )
        email = read_text(body, "email")
        metadata = read_json(body, "data")
        password = read_text(body, "password")
        password_hash = None
        if password is not None:
            password_hash = (await self._passwords.hash(_acceptable(password))).encode()
        user = await self._call(
            UPDATE_USER,
            session_id,
            None if email is None else email.encode(),
            password_hash,
            metadata,
        )
        return json_response(user_json(user))

    # --- POST /logout ----------------------------------------------------------------------------

    async def _log_out(self, request: web.Request) -> web.Response:
        scope = request.query.get("scope") or "global"
        await self._call(END_SESSIONS, self._session_id(request), scope.encode("utf-8", "replace"))
        return web.Response(status=204)

    # --- in common -------------------------------------------------------------------------------

    def _session_id(self, request: web.Request) -> bytes:
        """The session that the access token names. Raises RoostError."""
        token = bearer_token(request.headers)
        claims = None if token is None else self._tokens.verify(token)
        if claims is None or claims.session_id is None:
            raise RoostError(
                code="no_authorization",
                message="This endpoint needs the access token of a signed-in person.",
                details=None,
                hint='Sign in, and send it as "Authorization: Bearer <token>".',
                status=401,
            )
        return claims.session_id.encode()

    def _session(self, signed_in: dict[str, Any], secret: bytes) -> web.Response:
        """GoTrue's session, from a roost.signed_in and the secret of its refresh token."""
        user = signed_in["account"]
        access_token, expires_at = self._tokens.issue(
            user_id=user["id"],
            session_id=signed_in["session_id"],
            device_id=signed_in["device_id"],
            email=user["email"],
        )
        return json_response(
            {
                "access_token": access_token,
                "token_type": "bearer",
                "expires_in": self._tokens.lifetime_seconds,
                "expires_at": expires_at,
                "refresh_token": str(RefreshToken.of(signed_in["session_id"], secret)),
                "user": user_json(user),
                "device_id": signed_in["device_id"],
            }
        )

    def _no_such_refresh_token(self) -> RoostError:
        return self._domain_error(
            "RO104", "The refresh token is not one of a living session.", "Sign in again."
        )

    def _domain_error(self, code: str, message: str, hint: str) -> RoostError:
        return RoostError(
            code=code,
            message=message,
            details=None,
            hint=hint,
            status=self._catalogue().statuses[code],
        )


def _acceptable(password: str) -> str:
    """The password, if it may be set. Raises RoostError."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise RoostError(
            code="weak_password",
            message=(
                f"The password has to have {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters."
            ),
            details=None,
            hint="Choose another password.",
            status=422,
        )
    return password


def _wrong_credentials() -> RoostError:
    return RoostError(
        code="invalid_credentials",
        message="Invalid login credentials",
        details=None,
        hint="Look at the e-mail address and the password.",
        status=400,
    )


def _bytea(value: bytes) -> bytes:
    return b"\\x" + value.hex().encode()
