"""The official JavaScript clients, unmodified, against a whole server."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.serving import Client
from tests.support import REPOSITORY

FOLDER = REPOSITORY / "tests" / "javascript"


# It has its server killed: see test_official_uploads.py.
OF_ITS_OWN = "tus.test.js"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "file", sorted({path.name for path in FOLDER.glob("*.test.js")} - {OF_ITS_OWN})
)
async def test_client(client: Client, file: str) -> None:
    await run_javascript(file, ROOST_URL=client.url)


async def run_javascript(file: str, **variables: str) -> None:
    # The .venv's node comes first: it is there where the machine's own is missing or too old.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    node = shutil.which("node", path=path)
    assert node is not None, "there is no node here: run `make test`"
    process = await asyncio.create_subprocess_exec(
        node,
        "--test",
        file,
        cwd=FOLDER,
        env={**os.environ, "PATH": path, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output.decode()
    # A file without tests, or with skipped ones, passes by itself.
    summary = dict(re.findall(r"(tests|pass|skipped) (\d+)$", output.decode(), re.MULTILINE))
    assert summary["tests"] == summary["pass"] != "0", output.decode()
    assert summary["skipped"] == "0", output.decode()
