"""The table that a benchmark prints, and the file that it leaves."""

import json
import operator
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

RESULTS = Path(__file__).parent / "results"

_RELATIONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Row:
    """
    name -- what was measured
    value -- the figure, a median where there were several rounds
    unit -- its unit; "ratio" for a comparison
    budget -- what it has to be, such as ">= 0.7"; None where nothing is promised
    """

    name: str
    value: float
    unit: str
    budget: str | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        if self.budget is None:
            return None
        relation, bound = self.budget.split()
        return _RELATIONS[relation](self.value, float(bound))


def ratios(ours: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios round by round, which a machine that drifts does not bend."""
    return statistics.median(our / other for our, other in zip(ours, others, strict=True))


def report(name: str, rows: Sequence[Row]) -> None:
    """Prints the rows as a table and writes bench/results/<name>.json."""
    width = max(len(row.name) for row in rows)
    print(f"\n{name} ({platform.machine()}, Python {platform.python_version()})\n")
    for row in rows:
        verdict = {None: "", True: "holds", False: "MISSED"}[row.holds]
        figure = f"{row.value:,.2f}" if row.value < 1000 else f"{row.value:,.0f}"
        print(f"{row.name:{width}}  {figure:>12} {row.unit:14} {row.budget or '':10} {verdict}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"rows": [{**asdict(row), "holds": row.holds} for row in rows]}, indent=2)
    )
