"""The server under test, in a process of its own; prints its address."""

import os

import uvloop

from roost.app import run
from roost.settings import Settings

if __name__ == "__main__":
    settings = Settings.from_environment()
    uvloop.run(run(settings, settings.database_url or "", lambda url: print(url, flush=True)))
    os._exit(0)
