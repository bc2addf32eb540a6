"""Log lines: one for each record, whatever a client sends, and each with its request."""

import logging
import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest
from yarl import URL

from roost.logs import set_up_logs
from roost.responses import request_id
from tests.serving import Client

FORGED = "x\n2026-01-01 00:00:00,000 ERROR roost request_id=- forged\r\x1b[2K\x85\u2028\x7f"
ESCAPED = r"x\n2026-01-01 00:00:00,000 ERROR roost request_id=- forged\r\x1b[2K\x85\u2028\x7f"
LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) \S+ request_id=(\S+) (.*)"
)


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """The handlers of pytest are put aside, so that set_up_logs does not close them."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


def _lines(text: str) -> list[tuple[str, str, str]]:
    """Level, request and message of every line; nothing but such lines."""
    assert text.endswith("\n")
    found = []
    for line in text[:-1].split("\n"):
        match = LINE.fullmatch(line)
        assert match is not None, line
        found.append((match[1], match[2], match[3]))
    return found


def test_a_record_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info")
    logger = logging.getLogger("roost.tests")
    token = request_id.set("abc-1")
    try:
        logger.info("said %s", FORGED)
        logger.debug("below the level")
        try:
            _fail()
        except ValueError:
            logger.exception("failed")
    finally:
        request_id.reset(token)
    logging.getLogger("others").warning("é ü 漢")

    said, failed, other = _lines(capsys.readouterr().err)
    assert said == ("INFO", "abc-1", f"said {ESCAPED}")
    assert failed[:2] == ("ERROR", "abc-1")
    assert failed[2].startswith(r"failed\nTraceback (most recent call last):\n")
    assert failed[2].endswith(f"ValueError: {ESCAPED}")
    assert other == ("WARNING", "-", "é ü 漢")


def _fail() -> None:
    raise ValueError(FORGED)


class Serve(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[Client]: ...


async def test_every_line_of_a_request_has_its_id(
    capsys: pytest.CaptureFixture[str], serve: Serve
) -> None:
    set_up_logs("debug")
    path = "/%0A2026-01-01%2000:00:00,000%20ERROR%20roost%20request_id=-%20forged%0D%1B%C2%85"
    async with serve() as client:
        url = URL(client.url + path, encoded=True)
        async with client.http.get(url, headers={"X-Request-Id": "abc-1"}) as answer:
            assert answer.status == 404
        async with client.http.get(url, headers={"X-Request-Id": "a b"}) as answer:
            made = answer.headers["X-Request-Id"]

    lines = _lines(capsys.readouterr().err)
    for expected in ("abc-1", made):
        (line,) = (line for line in lines if line[1] == expected)
        assert line[0] == "DEBUG"
        assert re.fullmatch(r"GET /\S.*forged.* 404", line[2])
    assert not [line for line in lines if line[2].startswith("forged")]
