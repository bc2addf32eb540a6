"""How much is measured. Each can be set from outside, as for a short look."""

import os
from typing import Final

ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))

# Of a steady rate, or of writers, in a round.
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "5"))

# Of the latency one at a time.
MESSAGES: Final = int(os.environ.get("BENCH_MESSAGES", "500"))

FAN_OUT: Final = tuple(map(int, os.environ.get("BENCH_FAN_OUT", "100,1000,5000").split(",")))
IDLE: Final = int(os.environ.get("BENCH_IDLE", "5000"))
RECONNECTS: Final = int(os.environ.get("BENCH_RECONNECTS", "10000"))
