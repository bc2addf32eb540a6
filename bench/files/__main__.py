"""Measures; arguments name the parts, without any it is all of them."""

import sys
from typing import Final

from bench.files import folders, transfers
from bench.results import report

PARTS: Final = {
    "transfers": transfers.measure,
    "folders": folders.measure,
}


def main(names: list[str]) -> int:
    """Measures and reports; answers the exit code."""
    rows = []
    for name in names or PARTS:
        print(f"measuring {name}", file=sys.stderr)
        rows += PARTS[name]()
    report("files", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
