"""One worker of several: `python -m roost.worker_process <descriptor> <name>`, run by `workers`.

The descriptor is of a socket that leads to the hub. When that ends, so does the worker.
"""

import asyncio
import signal
import socket
import sys

import uvloop

from roost import app
from roost.database.embedded import EmbeddedPostgres
from roost.errors import RoostError
from roost.logs import set_up_logs
from roost.realtime.host_link import HostLink
from roost.settings import Settings


def main(descriptor: str, name: str) -> int:
    """Serves until SIGTERM, or until the hub is gone. Answers the exit code."""
    settings = Settings.from_environment()
    set_up_logs(settings.log_level, name)
    conninfo = settings.database_url
    if conninfo is None:
        conninfo = EmbeddedPostgres(settings.data_dir).conninfo()

    try:
        uvloop.run(_serve(settings, conninfo, int(descriptor)))
    except RoostError as error:
        return _fail(name, " ".join(filter(None, (error.message, error.details, error.hint))))
    except OSError as error:
        return _fail(name, str(error))
    return 0


def _fail(name: str, why: str) -> int:
    print(f"roost: worker {name}: {why}", file=sys.stderr)
    return 1


async def _serve(settings: Settings, conninfo: str, descriptor: int) -> None:
    link = HostLink()
    await link.open(socket.socket(fileno=descriptor))
    server = asyncio.ensure_future(app.run(settings, conninfo, lambda _address: link.ready(), link))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.cancel)
    link.lost.add_done_callback(lambda _lost: server.cancel())
    await asyncio.wait([server])
    if not server.cancelled():
        server.result()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
