"""The promise that nothing answered is lost, and no event is lost, doubled or out of order, shown
while servers and the database are killed under load. For longer: python -m bench.faults.
"""

import random
from collections.abc import Callable

import pytest

from tests.faults.run import CUT, running
from tests.support import SUMMARY

KINDS = [
    "server killed",
    "server stalled",
    "server drained",
    "database killed",
    "listening connections cut",
]


@pytest.mark.timeout(300)
async def test_nothing_is_lost_doubled_or_reordered(
    record_property: Callable[[str, object], None],
) -> None:
    seed = random.randrange(1_000_000)
    order = random.Random(seed).sample(KINDS, len(KINDS))
    print(f"seed {seed}: {', '.join(order)}")
    async with running(seed) as run:
        for kind in order:
            await run.inject(kind)
        report = await run.finish()
    record_property(SUMMARY, str(report))
    assert {*report.recovery} == {*KINDS, CUT}
    # Each fault has cut somebody off, and who did not read was left to the log.
    assert report.resumes >= len(KINDS)
    assert report.evictions
    assert report.repeats
