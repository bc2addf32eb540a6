"""When to look again: when the folder or the workspace says so, and every so often in any case."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import aiohttp
from watchfiles import Change, awatch

from roost.client.ignoring import STATE_FOLDER
from roost.client.progress import Progress
from roost.client.server import AwayError, Server, ServerRefusedError

# In seconds: what watching has missed is found then.
EVERY: Final = 600.0

# In milliseconds: a program that writes several files, or one in pieces, has finished by then.
_SETTLED: Final = 400
_LONGEST_UNSETTLED: Final = 3_000

_LONGEST_WAIT: Final = 30.0

# In seconds.
_TOGETHER: Final = 0.1


async def watch_folder(root: Path, wake: asyncio.Event, progress: Progress) -> None:
    """Sets wake when something below the folder has changed, and was left alone for a moment."""
    own = root / STATE_FOLDER

    def concerns(_change: Change, path: str) -> bool:
        return not Path(path).is_relative_to(own)

    try:
        async for _ in awatch(
            root, watch_filter=concerns, debounce=_LONGEST_UNSETTLED, step=_SETTLED
        ):
            wake.set()
    except OSError as error:
        # As where the kernel has no watches left.
        progress.say(f"the folder can't be watched ({error}): it is looked at every 30 s instead")
        while True:
            await asyncio.sleep(30)
            wake.set()


async def watch_workspace(
    server: Server, workspace_id: str, wake: asyncio.Event, progress: Progress
) -> None:
    """Sets wake when the workspace has news, and whenever it was not heard for a while."""
    wait = 1.0
    while True:
        try:
            async for _ in server.events(f"workspace:{workspace_id}"):
                wait = 1.0
                wake.set()
        except (aiohttp.ClientError, TimeoutError, AwayError):
            pass
        except ServerRefusedError as error:
            if error.status in (403, 404):
                progress.say(f"the workspace can't be heard: {error}")
        await asyncio.sleep(wait)
        wait = min(_LONGEST_WAIT, wait * 2)


async def woken(wake: asyncio.Event, seconds: float) -> None:
    """Waits for news, at most so long."""
    with contextlib.suppress(TimeoutError):
        # Not wait_for, which in Python 3.11 forgets a cancellation that comes together with news.
        async with asyncio.timeout(seconds):
            await wake.wait()
        # What one call did comes as several events.
        await asyncio.sleep(_TOGETHER)
    wake.clear()
