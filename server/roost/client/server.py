"""The file API of a Roost server, over HTTP, tried again for as long as that can help."""

import asyncio
import contextlib
import io
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import aiohttp
import orjson

from roost.client.credentials import Credentials

Result = TypeVar("Result")

_RETRIES: Final = 8
_LONGEST_WAIT: Final = 30.0
_PASSING: Final = frozenset({429, 502, 503, 504})
# Another call was in its way.
_AGAIN: Final = frozenset({"40001", "40P01", "55P03"})

# A body of chunks takes 16 MiB.
MOST_BODY: Final = 8 * 1024 * 1024
MOST_HASHES: Final = 10_000
_PAGE: Final = 1000

# How long before it expires a token is renewed, in seconds.
_EARLY: Final = 60


class ServerRefusedError(Exception):
    """The server says no. code is what a program goes by."""

    def __init__(self, status: int, body: Any) -> None:
        error = body if isinstance(body, dict) else {}
        self.status = status
        self.code = str(error.get("code") or error.get("error_code") or status)
        self.message = str(error.get("message") or error.get("msg") or f"status {status}")
        self.hint = str(error.get("hint") or "")
        super().__init__(" ".join(filter(None, (self.message, self.hint))))


class AwayError(Exception):
    """No server answers. One line."""


class SignedOutError(Exception):
    """The session is over: a password is needed."""


class Server:
    """Calls a server as one person, on one device."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        keep: Callable[[Credentials], None],
        *,
        retries: int = _RETRIES,
    ) -> None:
        """keep -- told of new credentials, before they are used"""
        self._http = http
        self._url = url
        self._keep = keep
        self._retries = retries
        self._credentials: Credentials | None = None
        self._token = ""
        self._expires = 0.0
        self._renewing = asyncio.Lock()

    async def sign_in(
        self, email: str, password: str, device_name: str, device_id: str | None
    ) -> None:
        """Begins a session with a password. Raises ServerRefusedError, AwayError."""
        device: dict[str, Any] = {
            "device_name": device_name,
            "device_type": "other",
        }
        if device_id is not None:
            device["device_id"] = device_id
        body = await self._auth(
            "password", {"email": email, "password": password, "device": device}
        )
        self._take(body, email)

    async def resume(self, credentials: Credentials) -> None:
        """Goes on with a session. Raises SignedOutError, AwayError."""
        self._credentials = credentials
        await self._renew("")

    def _take(self, body: Any, email: str) -> None:
        self._credentials = Credentials(
            self._url, email, body["refresh_token"], body.get("device_id") or ""
        )
        self._keep(self._credentials)
        self._token = body["access_token"]
        self._expires = time.monotonic() + float(body.get("expires_in", 3600))

    async def _auth(self, grant: str, body: dict[str, Any]) -> Any:
        async def ask() -> Any:
            async with self._http.post(
                f"{self._url}/auth/v1/token", params={"grant_type": grant}, json=body
            ) as answer:
                return await _read(answer)

        return await self._try(ask)

    async def _renew(self, used: str) -> None:
        """Changes the token that was used for a new one, once however many calls ask for it."""
        async with self._renewing:
            if self._token != used:
                return
            if self._credentials is None:
                raise SignedOutError("not signed in")
            try:
                body = await self._auth(
                    "refresh_token", {"refresh_token": self._credentials.refresh_token}
                )
            except ServerRefusedError as error:
                if error.status in (400, 401, 403):
                    raise SignedOutError(error.message) from None
                raise
            self._take(body, self._credentials.email)

    async def _headers(self) -> dict[str, str]:
        if time.monotonic() > self._expires - _EARLY:
            await self._renew(self._token)
        return {"Authorization": f"Bearer {self._token}"}

    async def _try(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """Asks until there is an answer, with back-off. Whatever it asks may come about twice."""
        attempt = 0
        while True:
            wait = 0.0
            try:
                return await ask()
            except ServerRefusedError as error:
                if error.status not in _PASSING and error.code not in _AGAIN:
                    raise
                if attempt >= self._retries:
                    raise AwayError(f"{self._url} is busy or away: {error.message}") from None
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                if attempt >= self._retries:
                    raise AwayError(f"no server answers at {self._url}: {error}") from None
            wait = min(_LONGEST_WAIT, 0.25 * 2**attempt)
            attempt += 1
            # Not all devices at the same moment.
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
    ) -> Any:
        async def ask() -> Any:
            for last in (False, True):
                headers = await self._headers()
                used = self._token
                async with self._http.request(
                    method,
                    f"{self._url}{path}",
                    params=params,
                    # In a file: of so many bytes at once aiohttp warns.
                    data=io.BytesIO(orjson.dumps(json) if data is None else data),
                    headers={
                        **headers,
                        "Content-Type": "application/json"
                        if data is None
                        else "application/octet-stream",
                    },
                ) as answer:
                    if answer.status != 401 or last:
                        return await _read(answer)
                    await answer.read()
                await self._renew(used)
            raise AssertionError

        return await self._try(ask)

    async def call(self, function: str, **arguments: Any) -> Any:
        """POST /rpc/<function>. Raises ServerRefusedError, AwayError, SignedOutError."""
        return await self._ask("POST", f"/rpc/{function}", json=arguments)

    async def find_workspaces(self) -> list[dict[str, Any]]:
        """All workspaces that one may see."""
        found: list[dict[str, Any]] = []
        while page := await self.call(
            "list_workspaces", page_size=200, before_id=found[-1]["id"] if found else None
        ):
            found += page
        return found

    async def changes(self, workspace_id: str, cursor: int) -> AsyncIterator[dict[str, Any]]:
        """Files and folders that changed behind an offset, deleted ones too, in order."""
        while True:
            page = await self.call(
                "list_files",
                workspace_id=workspace_id,
                changed_since=cursor,
                include_deleted=True,
                page_size=_PAGE,
            )
            for row in page:
                yield row
            if len(page) < _PAGE:
                return
            cursor = page[-1]["change_seq"]

    async def missing_chunks(self, workspace_id: str, hashes: Sequence[str]) -> set[str]:
        """Those that have to be sent."""
        missing: set[str] = set()
        for start in range(0, len(hashes), MOST_HASHES):
            missing.update(
                await self.call(
                    "missing_chunks",
                    workspace_id=workspace_id,
                    hashes=hashes[start : start + MOST_HASHES],
                )
            )
        return missing

    async def send_chunks(self, workspace_id: str, chunks: Sequence[bytes]) -> None:
        """Sends chunks, at most MOST_BODY bytes together."""
        body = b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)
        await self._ask("POST", "/chunks", params={"workspace_id": workspace_id}, data=body)

    async def make_content(
        self, workspace_id: str, whole: str, size: int, chunks: Sequence[tuple[str, int]]
    ) -> None:
        """Makes one file's bytes of chunks that are there."""
        await self._ask(
            "POST",
            "/contents",
            params={"workspace_id": workspace_id},
            json={"hash": whole, "size": size, "chunks": chunks},
        )

    @contextlib.asynccontextmanager
    async def download(
        self, file_id: str, version: int, digest: str, start: int
    ) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """The bytes of a version from start on; gives from where they come, which may be 0."""
        for last in (False, True):
            headers = await self._headers()
            used = self._token
            if start:
                headers["Range"] = f"bytes={start}-"
                headers["If-Range"] = f'"{digest}"'
            async with self._http.get(
                f"{self._url}/content/{file_id}",
                params={"version": str(version)},
                headers=headers,
            ) as answer:
                if answer.status == 401 and not last:
                    await answer.read()
                elif answer.status in (200, 206):
                    begins = start if answer.status == 206 else 0
                    yield begins, answer.content.iter_chunked(1 << 18)
                    return
                else:
                    await _read(answer)
            await self._renew(used)

    async def again(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """Does something with this server, again when that may help."""
        return await self._try(ask)

    async def events(self, topic: str) -> AsyncIterator[bytes]:
        """
        A line for each event of a topic, and one when the stream begins. Ends, or raises
        aiohttp.ClientError or TimeoutError, when the connection does.
        """
        headers = await self._headers()
        used = self._token
        # A comment comes every 15 seconds, so silence is a broken line.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=45)
        async with self._http.get(
            f"{self._url}/events/{topic}", headers=headers, timeout=timeout
        ) as answer:
            if answer.status != 200:
                if answer.status == 401:
                    await self._renew(used)
                await _read(answer)
            async for line in answer.content:
                if line.startswith((b"data:", b"id:")):
                    yield line


async def _read(answer: aiohttp.ClientResponse) -> Any:
    """The parsed body. Raises ServerRefusedError for anything but success."""
    raw = await answer.read()
    try:
        body = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        body = None
        if answer.status < 300:
            raise ServerRefusedError(
                answer.status, {"message": "This server does not answer as Roost does."}
            ) from None
    if answer.status >= 300:
        raise ServerRefusedError(answer.status, body)
    return body
