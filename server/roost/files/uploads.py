"""Uploads by tus 1.0: /files/ and /files/<upload id>."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import orjson
from aiohttp import hdrs, web

from roost.database.connection import Identity
from roost.database.queries import (
    CREATE_UPLOAD,
    DELETE_UPLOAD,
    FIND_UPLOAD,
    FINISH_UPLOAD,
    READ_UPLOAD,
    SET_UPLOAD_LENGTH,
)
from roost.database.transactions import Row
from roost.errors import RoostError
from roost.files import tus
from roost.files.arrival import BATCH_BYTES, Arrival, too_long
from roost.files.calls import Calls, refused
from roost.files.hashes import RunningHashes
from roost.files.progress import Throttle
from roost.responses import error_response
from roost.tokens import AccessTokens

FOLDER: Final = "/files/"


class Uploads:
    """Takes uploads. What arrived is kept when the client goes away."""

    def __init__(self, calls: Calls, tokens: AccessTokens) -> None:
        self._calls = calls
        self._tokens = tokens
        self._hashes = RunningHashes()
        self._throttle = Throttle()
        self._receiving: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[web.RouteDef]:
        """The routes of this protocol."""
        return [
            web.route("*", path, self.handle, expect_handler=_keep_waiting)
            for path in ("/files", FOLDER, FOLDER + "{upload}")
        ]

    async def close(self, seconds: float) -> None:
        """Waits, so many seconds, until what has arrived is stored."""
        if self._receiving:
            await asyncio.wait(self._receiving, timeout=seconds)
        for task in self._receiving:
            task.cancel()
        await asyncio.gather(*self._receiving, return_exceptions=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; errors too say which version this is."""
        try:
            response = await self._handle(request)
        except RoostError as error:
            response = error_response(error)
            if error.status == 412:
                response.headers["Tus-Version"] = tus.VERSION
        response.headers["Tus-Resumable"] = tus.VERSION
        return response

    async def _handle(self, request: web.Request) -> web.Response:
        method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
        if method == hdrs.METH_OPTIONS:
            return web.Response(
                status=204,
                headers={
                    "Tus-Version": tus.VERSION,
                    "Tus-Extension": tus.EXTENSIONS,
                    "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
                },
            )
        if request.headers.get("Tus-Resumable") != tus.VERSION:
            raise refused(
                "This version of tus is not spoken here.",
                f"Send Tus-Resumable: {tus.VERSION}.",
                status=412,
            )
        name = request.match_info.get("upload")
        answers: dict[str, Callable[..., Awaitable[web.Response]]] = (
            {hdrs.METH_POST: self._create}
            if name is None
            else {
                hdrs.METH_HEAD: self._look,
                hdrs.METH_PATCH: self._append,
                hdrs.METH_DELETE: self._end,
            }
        )
        if method not in answers:
            raise web.HTTPMethodNotAllowed(method, [*answers, hdrs.METH_OPTIONS])
        caller = self._tokens.identity(request.headers)
        if name is None:
            return await answers[method](request, caller)
        try:
            upload_id = UUID(name)
        except ValueError:
            raise RoostError(
                code="RO201",
                message="There is no such upload.",
                details=None,
                hint="Begin again with POST /files/.",
                status=404,
            ) from None
        return await answers[method](request, caller, upload_id)

    async def _create(self, request: web.Request, caller: Identity) -> web.Response:
        headers = request.headers
        concat = tus.read_concat(headers.get("Upload-Concat"))
        length = tus.read_number(headers, "Upload-Length")
        deferred = headers.get("Upload-Defer-Length")
        if concat.kind == "final":
            known = length is None and deferred is None
        else:
            known = (length is None) == (deferred == "1") and deferred in (None, "1")
        if not known:
            raise refused(
                "It is not clear how long the upload will be.",
                "Send either Upload-Length or Upload-Defer-Length: 1; for a final upload neither.",
            )
        header = headers.get("Upload-Metadata", "")
        about = tus.read_metadata(header)
        if "Upload-Concat" in headers:
            about["concat"] = headers["Upload-Concat"]
        with_body = headers.get(hdrs.CONTENT_TYPE, "") == tus.MEDIA_TYPE
        if with_body and length is not None and (request.content_length or 0) > length:
            raise too_long(length)
        upload = await self._calls.ask(
            caller,
            CREATE_UPLOAD,
            concat.kind,
            length,
            header,
            orjson.dumps(about).decode(),
            concat.parts,
        )
        upload_id = upload["id"]
        try:
            if concat.kind == "final" or length == 0:
                upload = await self._complete(caller, upload)
            elif with_body and request.body_exists:
                checksum = tus.read_checksum(headers.get("Upload-Checksum"))
                upload = await self._receive(request, caller, upload, checksum)
        except RoostError:
            if concat.kind == "final" or length == 0:
                # Nobody knows its address.
                await self._calls.ask(caller, DELETE_UPLOAD, upload_id)
            raise
        response = self._answer(upload, 201)
        response.headers[hdrs.LOCATION] = f"{FOLDER}{upload_id}"
        return response

    async def _look(self, _request: web.Request, caller: Identity, upload_id: UUID) -> web.Response:
        upload = await self._calls.ask(caller, FIND_UPLOAD, upload_id)
        # All of it had arrived when a server ended: a client that is told so does not come again.
        upload = await self._complete(caller, upload)
        response = self._answer(upload, 200)
        said = response.headers
        said[hdrs.CACHE_CONTROL] = "no-store"
        if upload["length"] is None:
            said["Upload-Defer-Length"] = "1"
        else:
            said["Upload-Length"] = str(upload["length"])
        if upload["header"]:
            said["Upload-Metadata"] = upload["header"]
        if upload["concat"]:
            said["Upload-Concat"] = upload["concat"]
        return response

    async def _append(
        self, request: web.Request, caller: Identity, upload_id: UUID
    ) -> web.Response:
        headers = request.headers
        if headers.get(hdrs.CONTENT_TYPE, "") != tus.MEDIA_TYPE:
            raise refused(
                "This media type is not taken.", f"Send Content-Type: {tus.MEDIA_TYPE}.", status=415
            )
        offset = tus.read_number(headers, "Upload-Offset")
        if offset is None:
            raise refused("Upload-Offset is missing.", "Send the offset that HEAD tells.")
        checksum = tus.read_checksum(headers.get("Upload-Checksum"))
        length = tus.read_number(headers, "Upload-Length")
        upload = await self._calls.ask(caller, FIND_UPLOAD, upload_id)
        if upload["kind"] == "final":
            raise refused("A final upload takes no bytes.", "Send them to its parts.", status=403)
        if upload["received"] != offset:
            raise RoostError(
                code="RO703",
                message="The upload does not go on there.",
                details=f"Upload-Offset: {upload['received']}; sent: {offset}",
                hint="Ask for the offset with HEAD, and go on there.",
                status=409,
            )
        if length is not None:
            upload = await self._calls.ask(caller, SET_UPLOAD_LENGTH, upload_id, length)
        if upload["length"] is not None:
            sent = request.content_length
            if offset + (sent or 0) > upload["length"]:
                raise too_long(upload["length"])
        return self._answer(await self._receive(request, caller, upload, checksum), 204)

    async def _end(self, _request: web.Request, caller: Identity, upload_id: UUID) -> web.Response:
        await self._calls.ask(caller, DELETE_UPLOAD, upload_id)
        self._hashes.forget(upload_id)
        return web.Response(status=204)

    async def _receive(
        self,
        request: web.Request,
        caller: Identity,
        upload: Row,
        checksum: tuple[Any, bytes] | None,
    ) -> Row:
        """Stores the body, in a task of its own: the request's ends when the client goes."""

        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # The head of the answer is still to come.
            request.writer.output_size = 0

        async def receive() -> Row:
            arrival = Arrival(self._calls, self._hashes, self._throttle, caller, upload)
            await arrival.receive(request.content, checksum)
            return await self._complete(caller, arrival.upload)

        task = asyncio.create_task(receive())
        self._receiving.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._receiving.discard(task)
        # The request may be gone; then nobody else looks at it.
        if not task.cancelled():
            task.exception()

    async def _complete(self, caller: Identity, upload: Row) -> Row:
        """Makes an upload a file of which all has arrived, if it is not one; answers it."""
        if (
            upload["received"] != upload["length"]
            or upload["outcome"] is not None
            or upload["kind"] == "partial"
        ):
            return upload
        running = self._hashes.take(upload["id"], upload["length"])
        if running is None:
            running = await self._read(caller, upload)
        return await self._calls.ask(caller, FINISH_UPLOAD, upload["id"], running.digest())

    async def _read(self, caller: Identity, upload: Row) -> Any:
        """The hash of an upload that was lost on the way."""
        running = hashlib.sha256()
        for begin in range(0, upload["length"], BATCH_BYTES):
            row = await self._calls.ask(
                caller, READ_UPLOAD, upload["id"], begin, begin + BATCH_BYTES
            )
            if row["bytes"]:
                await asyncio.to_thread(running.update, row["bytes"])
        return running

    def _answer(self, upload: Row, status: int) -> web.Response:
        headers = {"Upload-Offset": str(upload["received"])}
        outcome = upload["outcome"]
        if outcome is None:
            headers["Upload-Expires"] = tus.http_date(upload["expires_at"])
        else:
            self._hashes.forget(upload["id"])
            headers["X-Roost-Outcome"] = outcome["outcome"]
            if outcome["file"]:
                headers["X-Roost-File"] = outcome["file"]["id"]
                headers["X-Roost-Version"] = str(outcome["file"]["version"])
        return web.Response(status=status, headers=headers)


async def _keep_waiting(_request: web.Request) -> None:
    """Who asks before sending the body is told to once it is known that it will be taken."""
