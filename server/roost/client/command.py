"""`roost sync`: keeps a folder in step with a workspace until it is ended, or once."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from roost.client.credentials import CredentialsError, load, password, save
from roost.client.disk import Disk
from roost.client.ignoring import IgnoreError
from roost.client.locking import InUseError, locked
from roost.client.progress import Progress
from roost.client.server import AwayError, Server, ServerRefusedError, SignedOutError
from roost.client.state import State, StateError
from roost.client.syncing import Round, Sync
from roost.client.watching import EVERY, watch_folder, watch_workspace, woken

OK: Final = 0
FAILED: Final = 1
LEFT_OUT: Final = 7

_LONGEST_WAIT: Final = 60.0


class SyncError(Exception):
    """It can't begin, or go on. One line, with the cure."""


@dataclass(frozen=True, slots=True)
class Options:
    """
    workspace -- name, path or id
    password_file -- a file that nobody else may read, with the password in its first line
    create -- make the workspace where there is none of that name
    """

    folder: Path
    workspace: str
    url: str | None = None
    email: str | None = None
    password_file: Path | None = None
    once: bool = False
    create: bool = False


def options_of(
    parsed: argparse.Namespace, environment: Mapping[str, str], default_url: str
) -> Options:
    """What was said on the command line and in the environment."""
    return Options(
        parsed.folder,
        parsed.workspace,
        parsed.url or environment.get("ROOST_URL") or default_url,
        parsed.email or environment.get("ROOST_EMAIL"),
        parsed.password_file,
        parsed.once,
        parsed.create,
    )


async def main(options: Options, environment: Mapping[str, str] | None = None) -> int:
    """Runs the command; gives its exit code, and says on standard error why it failed."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        if task is not None:
            task.cancel()

    for which in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(which, end)
    try:
        return await run(options, os.environ if environment is None else environment)
    except asyncio.CancelledError:
        if not ended:
            raise
        # What was noted is noted, and the rest is found again.
        return OK if not options.once else 128 + signal.SIGINT
    except (
        SyncError,
        CredentialsError,
        InUseError,
        StateError,
        IgnoreError,
        AwayError,
        ServerRefusedError,
    ) as error:
        reason = str(error)
    except SignedOutError as error:
        reason = f"{error}: sign in again with --email"
    except OSError as error:
        reason = f"{error.filename or options.folder}: {error.strerror or error}"
    finally:
        for which in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(which)
    print(f"roost: {reason}", file=sys.stderr)
    return FAILED


async def run(options: Options, environment: Mapping[str, str]) -> int:
    """Does it, and raises what it can't do."""
    url = (options.url or "").rstrip("/")
    if urlsplit(url).scheme not in ("http", "https"):
        raise SyncError(f"{url or 'no address'} is no address of a server: --url http://host:port")
    if options.folder.is_symlink() or (options.folder.exists() and not options.folder.is_dir()):
        raise SyncError(f"{options.folder} is no folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    disk = Disk(options.folder.resolve())
    disk.prepare()
    progress = Progress()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
    with locked(disk.state), State(disk.state / "state.sqlite") as state:
        disk.clear()
        async with aiohttp.ClientSession(timeout=timeout) as http:
            server = Server(http, url, lambda credentials: save(disk.state, credentials))
            await sign_in(server, disk.state, url, options, environment)
            workspace = await find_workspace(
                server, options.workspace, disk.root if options.create else None
            )
            keep_to(state, url, workspace)
            sync = Sync(disk, state, server, workspace["id"], progress)
            if options.once:
                return _ended(await sync.until_in_step(), progress)
            progress.say(f"{disk.root} is kept in step with {workspace['name']}. Ctrl-C ends it.")
            await stay_in_step(sync, disk.root, server, workspace["id"], progress)
    return OK


def _ended(result: Round, progress: Progress) -> int:
    if result.failed:
        progress.say(f"{len(result.failed)} could not be synced; run it again")
        return FAILED
    progress.say(f"in step, after {result.done} changes")
    return LEFT_OUT if result.problems else OK


async def sign_in(
    server: Server, folder: Path, url: str, options: Options, environment: Mapping[str, str]
) -> None:
    """With the session of the time before, else with a password."""
    known = load(folder)
    if known is not None and (known.url != url or options.email not in (None, known.email)):
        known = None
    if known is not None:
        try:
            await server.resume(known)
        except SignedOutError:
            pass
        else:
            return
    email = options.email or (known.email if known else None)
    if email is None:
        raise SyncError("it is not known who you are: --email, or ROOST_EMAIL")
    secret = await asyncio.to_thread(password, email, environment, options.password_file)
    await server.sign_in(email, secret, socket.gethostname(), known.device_id if known else None)


async def find_workspace(server: Server, said: str, made_at: Path | None = None) -> dict[str, Any]:
    """The one of that id, path or name. Raises SyncError where there is none, or several.

    made_at -- the folder of one that is made where there is none
    """
    workspaces = await server.find_workspaces()
    for key in ("id", "path", "name"):
        found = [workspace for workspace in workspaces if workspace[key] == said]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(workspace["id"] for workspace in found)
            raise SyncError(f"there are {len(found)} workspaces called {said}: say which of {ids}")
    if made_at is not None:
        made: dict[str, Any] = await server.call("create_workspace", name=said, path=str(made_at))
        return made
    names = ", ".join(sorted(workspace["name"] for workspace in workspaces)[:20])
    raise SyncError(
        f"there is no workspace {said}, but {names or 'no other either'}: --create makes it"
    )


def keep_to(state: State, url: str, workspace: dict[str, Any]) -> None:
    """A folder is in step with one workspace of one server, or files would wander between them."""
    known = state.get("workspace")
    if known is not None and known != workspace["id"]:
        raise SyncError(
            "this folder is in step with another workspace: take another folder, or remove"
            " .roost-sync in it"
        )
    state.set("workspace", workspace["id"])
    state.set("url", url)


async def stay_in_step(
    sync: Sync, root: Path, server: Server, workspace_id: str, progress: Progress
) -> None:
    """Until it is cancelled, or what can't pass is raised."""
    wake = asyncio.Event()
    watchers = [
        asyncio.create_task(watch_folder(root, wake, progress)),
        asyncio.create_task(watch_workspace(server, workspace_id, wake, progress)),
    ]
    wait = 1.0
    try:
        while True:
            try:
                result = await sync.until_in_step()
            except AwayError as error:
                progress.say(f"{error}; trying again in {wait:.0f} s")
                await woken(wake, wait)
                wait = min(_LONGEST_WAIT, wait * 2)
                continue
            wait = min(_LONGEST_WAIT, wait * 2) if result.failed else 1.0
            await woken(wake, wait if result.failed else EVERY)
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
