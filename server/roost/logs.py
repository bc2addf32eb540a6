"""Log lines: one a line, each with the id of the request that it belongs to."""

import logging
import sys

from roost.responses import request_id


class RequestIdFilter(logging.Filter):
    """Puts the id of the current request on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def set_up_logs(level: str) -> None:
    """Sends log lines of this level and above to standard error.

    level -- debug, info, warning or error; debug has a line for each request
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(
        logging.Formatter(
            "%(asctime)s %(levelname)s %(name)s request_id=%(request_id)s %(message)s"
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
