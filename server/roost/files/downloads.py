"""Downloads: GET and HEAD /content/<file id>, and links to them."""

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from uuid import UUID

import orjson
from aiohttp import hdrs, web

from roost.database.queries import OPEN_DOWNLOAD, READ_CONTENT
from roost.database.transactions import Row
from roost.errors import RoostError
from roost.files.calls import Caller, Calls, refused
from roost.files.disposition import content_disposition
from roost.files.links import Links
from roost.files.progress import Throttle
from roost.files.ranges import Range, read_ranges
from roost.files.tus import http_date
from roost.responses import JSON, error_response
from roost.tokens import AccessTokens, bearer_token

logger = logging.getLogger(__name__)

# Bytes of a round trip. While they are written the next ones are read.
BATCH_BYTES: Final = 2_097_152
MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+(;[ -~]*)?", re.IGNORECASE)
UNKNOWN: Final = "application/octet-stream"
LONGEST_LINK: Final = 604_800
DEFAULT_LINK: Final = 300
MOST_VERSION: Final = 2**63 - 1

# Reads the bytes of a content from a place to before another.
Fetch = Callable[[int, int], Coroutine[None, None, bytes]]


class Downloads:
    """Answers with the bytes of files."""

    def __init__(self, calls: Calls, tokens: AccessTokens, links: Links) -> None:
        self._calls = calls
        self._tokens = tokens
        self._links = links
        self._throttle = Throttle()

    def routes(self) -> list[web.RouteDef]:
        """The routes of this protocol."""
        return [
            web.get("/content/{file}", self.read, allow_head=True),
            web.post("/content/{file}/links", self.make_link),
        ]

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Answers one download."""
        file_id = _file_id(request)
        query = request.rel_url.query
        version = _version(query.get("version"))
        token = query.get("token")
        caller: Caller = (
            self._tokens.identity(request.headers)
            if token is None
            else self._links.identity(token, file_id, version)
        )
        found = await self._calls.ask(caller, OPEN_DOWNLOAD, file_id, version)
        size = found["size"]
        etag = f'"{found["hash"].hex()}"'
        changed_at = found["changed_at"].replace(microsecond=0)
        media_type = found["media_type"] or UNKNOWN
        said: dict[str, str] = {
            hdrs.ETAG: etag,
            hdrs.LAST_MODIFIED: http_date(changed_at),
            hdrs.ACCEPT_RANGES: "bytes",
            # It may be asked for at any time who reads it.
            hdrs.CACHE_CONTROL: "private, no-cache",
        }
        if _matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
            return web.Response(status=304, headers=said)
        said |= {
            hdrs.CONTENT_TYPE: media_type if MEDIA_TYPE.fullmatch(media_type) else UNKNOWN,
            hdrs.CONTENT_DISPOSITION: content_disposition(
                "attachment" if query.get("download") in ("1", "true") else "inline", found["name"]
            ),
            # What people put there never runs in the name of this server.
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
        }
        ranges = None
        if hdrs.RANGE in request.headers and _is_current(
            request.headers.get(hdrs.IF_RANGE), etag, changed_at
        ):
            ranges = read_ranges(request.headers[hdrs.RANGE], size)
        if ranges is None:
            parts = [(b"", Range(0, size))] if size else []
            length, status, end = size, 200, b""
        elif not ranges:
            return _not_satisfiable(size)
        elif len(ranges) == 1:
            part = ranges[0]
            parts = [(b"", part)]
            length, status, end = part.end - part.begin, 206, b""
            said[hdrs.CONTENT_RANGE] = f"bytes {part.begin}-{part.end - 1}/{size}"
        else:
            boundary = secrets.token_hex(16)
            parts = [
                (_head(boundary, said[hdrs.CONTENT_TYPE], part, size), part) for part in ranges
            ]
            end = f"\r\n--{boundary}--\r\n".encode()
            length = len(end) + sum(len(head) + part.end - part.begin for head, part in parts)
            status = 206
            said[hdrs.CONTENT_TYPE] = f"multipart/byteranges; boundary={boundary}"
        if request.method == hdrs.METH_HEAD:
            return web.Response(status=status, headers={**said, "Content-Length": str(length)})
        if not length:
            return web.Response(status=status, headers=said)
        fetch = self._fetching(caller, found, file_id, length)
        spans = [
            (head if begin == part.begin else b"", begin, min(begin + BATCH_BYTES, part.end))
            for head, part in parts
            for begin in range(part.begin, part.end, BATCH_BYTES)
        ]
        # Before the head of the answer: an error here still has one of its own.
        first = await fetch(*spans[0][1:])
        return Download(request, status, said, _pieces(fetch, spans, end, first), length)

    async def make_link(self, request: web.Request) -> web.Response:
        """Answers a link that reads the file without a token of its own."""
        file_id = _file_id(request)
        body = await request.read()
        try:
            asked = orjson.loads(body) if body else {}
            seconds = asked.get("seconds", DEFAULT_LINK)
            version = asked.get("version")
        except (orjson.JSONDecodeError, AttributeError):
            raise refused("The body is not a JSON object.", 'Send {"seconds": 300}.') from None
        if type(seconds) is not int or not 1 <= seconds <= LONGEST_LINK:
            raise refused("A link lives from one second to 7 days.", 'Send {"seconds": 300}.')
        if version is not None and type(version) is not int:
            raise refused("A version is a number.", 'Send {"version": 1}, or none.')
        version = _version(None if version is None else str(version))
        caller = self._tokens.identity(request.headers)
        await self._calls.ask(caller, OPEN_DOWNLOAD, file_id, version)
        user_id = self._tokens.verify(bearer_token(request.headers) or "").user_id
        link = self._links.sign(file_id, version, user_id or "", seconds)
        of_version = "" if version is None else f"version={version}&"
        return web.Response(
            body=orjson.dumps(
                {
                    "url": f"/content/{file_id}?{of_version}token={self._links.token(link)}",
                    "expires_at": datetime.fromtimestamp(link.expires_at, UTC),
                }
            ),
            headers={hdrs.CONTENT_TYPE: JSON, hdrs.CACHE_CONTROL: "no-store"},
        )

    def _fetching(self, caller: Caller, found: Row, file_id: UUID, length: int) -> Fetch:
        """What reads a piece of a content, and now and then tells how far the download is."""
        told = {
            "download_id": secrets.token_hex(8),
            "file_id": str(file_id),
            "version": found["version"],
            "length": length,
        }
        sent = 0

        async def fetch(begin: int, end: int) -> bytes:
            nonlocal sent
            progress = None
            # What comes in one piece is there before it is told.
            if length > BATCH_BYTES and self._throttle.is_due((caller, file_id, told["version"])):
                progress = orjson.dumps({**told, "sent": sent}).decode()
            row = await self._calls.ask(
                caller, READ_CONTENT, found["content_id"], begin, end, progress
            )
            data: bytes = row["bytes"] or b""
            if len(data) != end - begin:
                raise RoostError(
                    code="XX001",
                    message="The content of a file is not complete.",
                    details=None,
                    hint="Have it verified.",
                    status=500,
                )
            sent += len(data)
            return data

        return fetch


class Download(web.StreamResponse):
    """
    An answer whose body is read while it is written.

    The body comes when aiohttp ends the response: until then it is as any other that is not sent
    yet, and gets the headers that all have.
    """

    def __init__(
        self,
        request: web.Request,
        status: int,
        headers: dict[str, str],
        body: AsyncIterator[bytes],
        length: int,
    ) -> None:
        """
        body -- pieces of some MiB
        length -- of all of them
        """
        super().__init__(status=status, headers=headers)
        self.content_length = length
        self._transport = request.transport
        self._pieces = body
        self._written = False

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes the body, and ends the response."""
        if not self._written:
            self._written = True
            try:
                async for piece in self._pieces:
                    await self.write(piece)
            except RoostError as error:
                # The status is out: that the answer ends too early is how the client learns of it.
                logger.warning("a download ended early: %s", error)
                if self._transport is not None:
                    self._transport.abort()
                raise ConnectionResetError("a download ended early") from None
        await super().write_eof(data)


async def _pieces(
    fetch: Fetch, spans: list[tuple[bytes, int, int]], end: bytes, first: bytes
) -> AsyncIterator[bytes]:
    """The bytes of an answer: while one piece is written the next one is read."""
    data = first
    for number, (head, _, _) in enumerate(spans, start=1):
        coming = asyncio.create_task(fetch(*spans[number][1:])) if number < len(spans) else None
        try:
            if head:
                yield head
            yield data
            if coming is not None:
                data = await coming
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
    if end:
        yield end


def _not_satisfiable(size: int) -> web.Response:
    response = error_response(
        RoostError(
            code="PGRST103",
            message="Requested range not satisfiable",
            details=f"The file has {size} bytes.",
            hint="Ask for bytes that are there.",
            status=416,
        )
    )
    response.headers[hdrs.CONTENT_RANGE] = f"bytes */{size}"
    return response


def _head(boundary: str, media_type: str, part: Range, size: int) -> bytes:
    return (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: {media_type}\r\n"
        f"Content-Range: bytes {part.begin}-{part.end - 1}/{size}\r\n\r\n"
    ).encode()


def _matches(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names what the client would get."""
    if header is None:
        return False
    return header.strip() == "*" or any(
        named.strip().removeprefix("W/") == etag for named in header.split(",")
    )


def _is_current(header: str | None, etag: str, changed_at: datetime) -> bool:
    """Whether If-Range lets a part be sent."""
    if header is None or header.strip() == etag:
        return True
    try:
        return parsedate_to_datetime(header) == changed_at
    except (TypeError, ValueError):
        return False


def _file_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["file"])
    except ValueError:
        raise RoostError(
            code="RO201",
            message="There is no such file, or you may not read it.",
            details=None,
            hint="Send the id of a file from list_files.",
            status=404,
        ) from None


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:20]) <= MOST_VERSION):
        raise refused("A version is a number.", "Send ?version=1, or none for the newest.")
    return int(text)
