"""Kills servers and the database under load for as long as one likes, and counts every event.

    python -m bench.faults --minutes 10 [--seed N] [--only FAULT ...] [-- ARGUMENT ...]

What is behind -- goes to `roost serve`. The same run, made short, is tests/test_faults.py.
"""

import argparse
import asyncio
import os
import random
import secrets
import sys
import time
from collections.abc import Sequence

from tests.faults.run import FAULTS, running


async def _run(minutes: float, seed: int, faults: Sequence[str], arguments: Sequence[str]) -> None:
    order = random.Random(seed)  # noqa: S311
    until = time.monotonic() + minutes * 60
    async with running(seed, arguments, calm_writes=20) as run:
        while time.monotonic() < until:
            # Each kind comes up, and any may follow any.
            for kind in order.sample(faults, len(faults)):
                if time.monotonic() < until:
                    await run.inject(kind)
                    print(f"{kind}: {run.report.recovery[kind][-1]:.2f} s", flush=True)
        print(f"\n{await run.finish()}")


def main() -> int:
    """Runs and prints; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench.faults", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--minutes", type=float, default=float(os.environ.get("BENCH_MINUTES", "10")), help="(10)"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument(
        "--only", action="append", choices=FAULTS, metavar="FAULT", help=", ".join(FAULTS)
    )
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of roost serve")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    try:
        faults = options.only or list(FAULTS)
        asyncio.run(_run(options.minutes, options.seed, faults, options.arguments))
    except AssertionError as error:
        print(f"\nA promise was broken.\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
