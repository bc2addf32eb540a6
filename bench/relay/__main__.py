"""Measures; arguments name the parts, without any it is all of them."""

import sys
from typing import Final

from bench.relay import commits, conversation, fan_out, idle, latency, reconnect
from bench.results import report

PARTS: Final = {
    "latency": latency.measure,
    "conversation": conversation.measure,
    "fan_out": fan_out.measure,
    "commits": commits.measure,
    "idle": idle.measure,
    "reconnect": reconnect.measure,
}


def main(names: list[str]) -> int:
    """Measures and reports; answers the exit code."""
    rows = []
    for name in names or PARTS:
        print(f"measuring {name}", file=sys.stderr)
        rows += PARTS[name]()
    report("relay", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
