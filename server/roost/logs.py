"""Log lines: each record is one, with the id of the request that it belongs to."""

import logging
import sys
from typing import Final

from roost.responses import request_id

# Control characters and Unicode's line ends, as Python writes them in a string.
ESCAPES: Final = {
    number: ascii(chr(number))[1:-1]
    for number in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class RequestIdFilter(logging.Filter):
    """Puts the id of the current request on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class OneLineFormatter(logging.Formatter):
    """Escapes what would end the line: what a client sends must not pass for another record."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).translate(ESCAPES)


def set_up_logs(level: str, worker: str | None = None) -> None:
    """Sends log lines of this level and above to standard error.

    level -- debug, info, warning or error; debug has a line for each request
    worker -- which of several processes it is
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RequestIdFilter())
    process = "" if worker is None else f" worker={worker}"
    handler.setFormatter(
        OneLineFormatter(
            f"%(asctime)s %(levelname)s %(name)s{process} request_id=%(request_id)s %(message)s"
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
