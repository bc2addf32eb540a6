"""Rounds: look at both sides, plan, carry out, and note each thing that came about."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from roost.client.chunking import Chunk, cut_file
from roost.client.disk import ChangedError, DamagedError, Disk, digest_of, write_part
from roost.client.failures import Failures
from roost.client.ignoring import Ignored
from roost.client.matching import identify
from roost.client.merging import Problem
from roost.client.mirror import Mirror, node_of
from roost.client.names import why_not_local, why_not_remote
from roost.client.planning import (
    Action,
    Adopt,
    Delete,
    Download,
    Forget,
    MakeFolder,
    Move,
    Plan,
    Side,
    Upload,
    plan,
)
from roost.client.progress import Progress
from roost.client.scanning import Scan, scan
from roost.client.server import MOST_BODY, Server, ServerRefusedError
from roost.client.settling import settle
from roost.client.state import State
from roost.client.tree import NEW, Node, Tree, paths_of, without

# Files up to this size are one chunk, and go many at once.
_SMALL: Final = 256 * 1024
_BATCH_FILES: Final = 500
_AT_ONCE: Final = 8

# A round that has changed something is followed by one that looks whether that was all.
_MOST_ROUNDS: Final = 20

# So many rounds in which nothing worked are enough.
_PATIENCE: Final = 3

# These say that something has changed since the server was asked, and the next round knows better.
_CHANGED: Final = frozenset({"RO201", "RO301", "RO303", "RO705"})

# There is no room for this one; for others there may be.
_NO_ROOM: Final = frozenset({"RO701", "RO702"})


@dataclass(slots=True)
class Round:
    """What came of one."""

    actions: int = 0
    done: int = 0
    sent: int = 0
    changed: int = 0
    problems: list[Problem] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)


class Sync:
    """Keeps one folder in step with one workspace."""

    def __init__(
        self,
        disk: Disk,
        state: State,
        server: Server,
        workspace_id: str,
        progress: Progress,
    ) -> None:
        self._disk = disk
        self._state = state
        self._server = server
        self._workspace_id = workspace_id
        self._progress = progress
        self._mirror = Mirror(server, workspace_id, state)
        self._synced = state.synced()
        self._hashed = state.hashed()
        self._told: set[Problem] = set()

    async def until_in_step(self) -> Round:
        """Rounds until there is nothing to do, or nothing works any more; what they did."""
        total = Round()
        idle = 0
        for _ in range(_MOST_ROUNDS):
            result = await self.round()
            total.actions += result.actions
            total.done += result.done
            total.sent += result.sent
            total.problems, total.failed = result.problems, result.failed
            # What has changed while the round went on is seen by the next one.
            idle = 0 if result.done else idle + 1
            if idle > (_PATIENCE if result.changed else 0):
                break
        news = [problem for problem in total.problems + total.failed if problem not in self._told]
        for problem in news:
            self._progress.say(f"left out: {problem.path}: {problem.reason}")
        self._told = {*total.problems, *total.failed}
        return total

    async def round(self) -> Round:
        """One look at both sides, and what follows from it."""
        remote = await self._mirror.refresh()
        ignored = Ignored.read(self._disk.root)
        scanned = await asyncio.to_thread(self._scan, ignored)
        planned = self._plan(remote, scanned, ignored)
        result = Round(len(planned.actions), problems=[*scanned.problems, *planned.problems])
        for note in planned.notes:
            self._settle([(note, None)])
        moved = [a.node.size for a in planned.actions if isinstance(a, Upload | Download)]
        with self._progress.begin(moved):
            await self._carry_out(planned.actions, result)
        return result

    def _scan(self, ignored: Ignored) -> Scan:
        scanned = scan(self._disk.root, ignored, self._hashed)
        self._disk.use_names(scanned.real)
        return scanned

    def _plan(self, remote: Tree, scanned: Scan, ignored: Ignored) -> Plan:
        self._state.note_hashed(scanned.put, scanned.gone)
        for path in scanned.gone:
            del self._hashed[path]
        self._hashed |= scanned.put
        local = identify(scanned.found, self._synced)
        # What can't be looked at has not gone, and what is ignored is nobody's business.
        blocked = {problem.path for problem in scanned.problems}
        left_out = _left_out(
            (remote, self._synced),
            lambda path, node: path in blocked or ignored(path, folder=node.folder),
        )
        synced = {key: node for key, node in self._synced.items() if key not in left_out}
        stamp = f"{socket.gethostname()[:40]} {datetime.now(UTC):%Y-%m-%d %H%M}"
        return plan(
            without(remote, left_out),
            without(local, left_out),
            synced,
            stamp=stamp,
            not_remote=why_not_remote,
            not_local=lambda name: why_not_local(name, windows=sys.platform == "win32"),
            folds_case=sys.platform in ("darwin", "win32"),
        )

    def _settle(self, results: Iterable[tuple[Action, Node | None]]) -> None:
        changed: set[str] = set()
        for action, result in results:
            changed |= settle(self._synced, action, result)
        self._state.note_synced(self._synced, changed)

    async def _carry_out(self, actions: Sequence[Action], result: Round) -> None:
        failures = Failures()
        for kind, group in groupby(actions, key=_kind):
            waiting = list(group)
            if kind is Upload:
                await self._upload_all(
                    [a for a in waiting if isinstance(a, Upload)], failures, result
                )
            elif kind is Download:
                await self._in_parallel(waiting, failures, result, self._fetch)
            else:
                for action in waiting:
                    await self._one(action, failures, result, self._rearrange)

    async def _one(
        self,
        action: Action,
        failures: Failures,
        result: Round,
        do: Callable[[Any], Awaitable[Node | None]],
    ) -> None:
        if failures.hold(action):
            return
        try:
            made = await do(action)
        except (ChangedError, DamagedError, ServerRefusedError, OSError) as error:
            self._fail(action, error, failures, result)
            return
        self._done(action, made, result)

    def _done(self, action: Action, made: Node | None, result: Round) -> None:
        self._settle([(action, made)])
        result.done += 1
        self._progress.say(_described(action))

    def _fail(self, action: Action, error: Exception, failures: Failures, result: Round) -> None:
        if isinstance(error, ServerRefusedError) and error.status == 401:
            raise error
        failures.note(action)
        path = str(getattr(action, "path", ""))
        match error:
            case ChangedError():
                reason = "it is being changed"
            case DamagedError():
                reason = "what arrived is not what the server says it has"
            case OSError():
                reason = error.strerror or str(error)
            case _:
                reason = str(error)
        result.failed.append(Problem(path, reason))
        if isinstance(error, ChangedError) or (
            isinstance(error, ServerRefusedError) and error.code in _CHANGED
        ):
            result.changed += 1

    async def _in_parallel(
        self,
        actions: Sequence[Action],
        failures: Failures,
        result: Round,
        do: Callable[[Any], Awaitable[Node | None]],
    ) -> None:
        """Some at a time; those that are over are noted even when another one ends the round."""
        waiting = iter(actions)

        async def work() -> None:
            for action in waiting:
                await self._one(action, failures, result, do)

        await _together(work() for _ in range(_AT_ONCE))

    async def _rearrange(self, action: Action) -> Node | None:
        match action:
            case MakeFolder(side=Side.LOCAL):
                inode = self._disk.make_folder(action.path)
                return _at(action.node, inode)
            case MakeFolder():
                return node_of(
                    await self._server.call(
                        "make_folder", workspace_id=self._workspace_id, path=action.path
                    )
                )
            case Move(side=Side.LOCAL):
                self._disk.move(action.node, action.path, action.to_path)
                return None
            case Move():
                return node_of(
                    await self._server.call(
                        "move_file", file_id=action.node.id, path=action.to_path
                    )
                )
            case Delete(side=Side.LOCAL):
                await asyncio.to_thread(self._disk.delete, action.node, action.path)
                return None
            case Delete():
                await self._delete_there(action.node)
                return None
            case _:
                raise AssertionError(action)

    async def _delete_there(self, node: Node) -> None:
        try:
            await self._server.call(
                "delete_file",
                file_id=node.id,
                base_version=node.version,
                # A folder into which somebody has put something meanwhile stays.
                seen_offset=self._mirror.cursor if node.folder else None,
            )
        except ServerRefusedError as error:
            if error.code != "RO201":
                raise

    async def _upload_all(
        self, uploads: Sequence[Upload], failures: Failures, result: Round
    ) -> None:
        small = [upload for upload in uploads if upload.node.size <= _SMALL]
        for start in range(0, len(small), _BATCH_FILES):
            await self._upload_small(small[start : start + _BATCH_FILES], failures, result)
        for upload in uploads:
            if upload.node.size > _SMALL:
                await self._one(upload, failures, result, self._upload_large(result))

    async def _read_small(
        self, uploads: Sequence[Upload], failures: Failures, result: Round
    ) -> tuple[list[Upload], dict[str, bytes]]:
        """Those that are as they were when they were compared, and their contents by hash."""
        ready: list[Upload] = []
        contents: dict[str, bytes] = {}
        for upload in uploads:
            if failures.hold(upload):
                continue
            try:
                data = await asyncio.to_thread(self._disk.at(upload.path).read_bytes)
                if digest_of(data) != upload.node.hash:
                    raise ChangedError(upload.path)  # noqa: TRY301
            except (ChangedError, OSError) as error:
                self._fail(upload, error, failures, result)
                continue
            contents[upload.node.hash] = data
            ready.append(upload)
        return ready, contents

    async def _upload_small(
        self, uploads: Sequence[Upload], failures: Failures, result: Round
    ) -> None:
        ready, contents = await self._read_small(uploads, failures, result)
        if not ready:
            return
        refused: dict[str, ServerRefusedError] = {}
        for _ in range(3):
            try:
                refused = await self._send_contents(contents, result)
                break
            except ServerRefusedError as error:
                if error.code != "RO705":
                    for upload in ready:
                        self._fail(upload, error, failures, result)
                    return
        for upload in ready:
            if upload.node.hash in refused:
                self._fail(upload, refused[upload.node.hash], failures, result)
        ready = [upload for upload in ready if upload.node.hash not in refused]
        if not ready:
            return
        outcomes = await self._server.call(
            "put_file_states",
            workspace_id=self._workspace_id,
            files=[_put(upload) for upload in ready],
        )
        for upload, outcome in zip(ready, outcomes, strict=True):
            try:
                self._done(upload, self._accepted(outcome), result)
            except ServerRefusedError as error:
                self._fail(upload, error, failures, result)
            self._progress.moved(upload.node.size)

    async def _send_contents(
        self, contents: dict[str, bytes], result: Round
    ) -> dict[str, ServerRefusedError]:
        """
        Each file is one chunk, so the hash of one is that of the other. Gives those for which there
        is no room, by their hash.
        """
        refused: dict[str, ServerRefusedError] = {}
        hashes = [digest for digest, data in contents.items() if data]
        missing = await self._server.missing_chunks(self._workspace_id, hashes)
        await self._send([contents[digest] for digest in hashes if digest in missing], result)
        waiting = iter(contents.items())

        async def work() -> None:
            for digest, data in waiting:
                chunks = [(digest, len(data))] if data else []
                try:
                    await self._server.make_content(self._workspace_id, digest, len(data), chunks)
                except ServerRefusedError as error:
                    if error.code not in _NO_ROOM:
                        raise
                    refused[digest] = error

        await _together(work() for _ in range(_AT_ONCE))
        return refused

    async def _send(self, chunks: Sequence[bytes], result: Round) -> None:
        batch: list[bytes] = []
        size = 0
        for chunk in chunks:
            if size + len(chunk) + 4 > MOST_BODY:
                await self._server.send_chunks(self._workspace_id, batch)
                batch, size = [], 0
            batch.append(chunk)
            size += len(chunk) + 4
            result.sent += len(chunk)
        if batch:
            await self._server.send_chunks(self._workspace_id, batch)

    def _upload_large(self, result: Round) -> Callable[[Upload], Awaitable[Node]]:
        async def upload(action: Upload) -> Node:
            path = self._disk.at(action.path)
            cut = await asyncio.to_thread(cut_file, path)
            if cut.hash != action.node.hash:
                raise ChangedError(action.path)
            for last in (False, True):
                missing = await self._server.missing_chunks(
                    self._workspace_id, [chunk.hash for chunk in cut.chunks]
                )
                await self._send_missing(path, cut.chunks, missing, result)
                try:
                    await self._server.make_content(
                        self._workspace_id,
                        cut.hash,
                        cut.size,
                        [(chunk.hash, chunk.size) for chunk in cut.chunks],
                    )
                    break
                except ServerRefusedError as error:
                    # A chunk that was there has just gone.
                    if last or error.code != "RO705":
                        raise
            (outcome,) = await self._server.call(
                "put_file_states", workspace_id=self._workspace_id, files=[_put(action)]
            )
            return self._accepted(outcome)

        return upload

    async def _send_missing(
        self, path: Path, chunks: Sequence[Chunk], missing: set[str], result: Round
    ) -> None:
        """Sends each of them once, a body at a time: no more than that is in memory."""
        left = set(missing)
        batch: list[bytes] = []
        size = 0
        with path.open("rb") as file:
            for chunk in chunks:
                self._progress.moved(chunk.size)
                if chunk.hash not in left:
                    continue
                left.discard(chunk.hash)
                file.seek(chunk.start)
                data = file.read(chunk.size)
                if digest_of(data) != chunk.hash:
                    raise ChangedError(str(path))
                batch.append(data)
                size += len(data) + 4
                if size > MOST_BODY - (1 << 20) - 4:
                    await self._send(batch, result)
                    batch, size = [], 0
        await self._send(batch, result)

    def _accepted(self, outcome: dict[str, Any]) -> Node:
        """What the server has in the file's place now. Raises ServerRefusedError."""
        if outcome["outcome"] == "rejected":
            raise ServerRefusedError(409, outcome)
        return node_of(outcome["file"])

    async def _fetch(self, action: Download) -> Node:
        node = action.node
        if action.replaces is not None and action.replaces.hash == node.hash:
            return _at(node, self._disk.set_executable(action.path, node.executable))
        part = self._disk.part(node)

        async def fetch() -> None:
            start = part.stat().st_size if part.exists() else 0
            if start > node.size:
                start = 0
            if start == node.size and part.exists():
                return
            if node.size == 0:
                part.touch()
                return
            async with self._server.download(node.id, node.version, node.hash, start) as (
                begins,
                data,
            ):
                await write_part(part, begins, data)

        await self._server.again(fetch)
        inode = await asyncio.to_thread(
            self._disk.install, part, node, action.path, action.replaces
        )
        self._progress.moved(node.size)
        return _at(node, inode)


async def _together(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Does all of it at once. When one fails the others are ended, and its error is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _kind(action: Action) -> type:
    if isinstance(action, Upload):
        return Upload
    return Download if isinstance(action, Download) else object


def _at(node: Node, inode: tuple[int, int]) -> Node:
    return replace(node, inode=inode)


def _put(upload: Upload) -> dict[str, Any]:
    node = upload.node
    return {
        "path": upload.to_path,
        "hash": node.hash,
        "size": node.size,
        "modified_at": datetime.fromtimestamp(node.modified_ns / 1e9, UTC).isoformat(),
        "base_version": upload.base_version,
        # By now another one may be there, with the same version.
        "file_id": None if node.id.startswith(NEW) else node.id,
        "metadata": {"executable": node.executable},
        "conflict_policy": "merge",
    }


def _left_out(trees: Iterable[Tree], is_out: Callable[[str, Node], bool]) -> set[str]:
    """Ids of nodes that are out by their path in one of the trees, with all beneath them."""
    out: set[str] = set()
    for tree in trees:
        paths = paths_of(tree)
        roots = {key for key, node in tree.items() if is_out(paths[key], node)}
        if roots:
            out |= without(tree, ()).keys() - without(tree, roots).keys() | roots
    return out


def _described(action: Action) -> str:
    match action:
        case Move():
            there = "on the server" if action.side is Side.REMOTE else "here"
            return f"moved {there}: {action.path} -> {action.to_path}"
        case MakeFolder():
            return f"made the folder: {action.path}"
        case Delete():
            there = "on the server" if action.side is Side.REMOTE else "here"
            return f"deleted {there}: {action.path}"
        case Upload():
            return f"uploaded: {action.path}"
        case Download():
            return f"downloaded: {action.path}"
        case Adopt() | Forget():
            return ""
