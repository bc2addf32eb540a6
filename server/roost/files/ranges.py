"""Which bytes a request asks for (RFC 9110, section 14)."""

import re
from itertools import pairwise
from typing import Final, NamedTuple

# More of them, or such that overlap, are no honest need: then the answer is the whole.
MOST_RANGES: Final = 50

RANGE: Final = re.compile(r"(?=.*[0-9])([0-9]{0,20})-([0-9]{0,20})")


class Range(NamedTuple):
    """Bytes from `begin` to before `end`."""

    begin: int
    end: int


def read_ranges(header: str, size: int) -> list[Range] | None:
    """
    The ranges that are asked for, without those that begin behind the end: none left is a 416.

    None where the header is to be ignored.
    """
    unit, _, listed = header.partition("=")
    specs = [spec.strip() for spec in listed.split(",") if spec.strip()]
    matches = [match for spec in specs if (match := RANGE.fullmatch(spec))]
    if unit.strip().lower() != "bytes" or not 0 < len(specs) == len(matches) <= MOST_RANGES:
        return None
    ranges: list[Range] = []
    for match in matches:
        first, last = match.groups()
        if first and last and int(last) < int(first):
            return None
        if first:
            begin, end = int(first), min(int(last) + 1, size) if last else size
        else:
            begin, end = max(size - int(last), 0), size
        if begin < end:
            ranges.append(Range(begin, end))
    ordered = sorted(ranges)
    if any(other.begin < one.end for one, other in pairwise(ordered)):
        return None
    return ranges
