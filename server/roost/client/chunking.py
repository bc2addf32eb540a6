"""Cuts files by what is in them, so that an insertion moves no cut but those beside it.

FastCDC (Xia et al., 2020) with normalised sizes, by pyfastcdc: 3.9 GB/s for the cuts alone, so that
the two SHA-256 of each byte are what takes time.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from pyfastcdc import FastCDC

SMALLEST: Final = 64 * 1024
AVERAGE: Final = 256 * 1024
# The largest that the server takes.
LARGEST: Final = 1024 * 1024


class Chunk(NamedTuple):
    """A part of a file; hash is base16 SHA-256."""

    hash: str
    start: int
    size: int


class Cut(NamedTuple):
    """A whole file; hash is base16 SHA-256 of all of it."""

    hash: str
    size: int
    chunks: list[Chunk]


def cut_file(path: Path) -> Cut:
    """Cuts a file, in one pass and with flat memory."""
    with path.open("rb", buffering=0) as file:
        return cut(file)


def cut(file: BinaryIO) -> Cut:
    """Cuts what is read from a file."""
    whole = hashlib.sha256()
    chunks = []
    start = 0
    for data in _pieces(file):
        whole.update(data)
        chunks.append(Chunk(hashlib.sha256(data).hexdigest(), start, len(data)))
        start += len(data)
    return Cut(whole.hexdigest(), start, chunks)


def _pieces(file: BinaryIO) -> Iterator[memoryview]:
    # The seed is a constant of the library: every device cuts alike.
    cutter = FastCDC(avg_size=AVERAGE, min_size=SMALLEST, max_size=LARGEST, normalized_chunking=2)
    for piece in cutter.cut_stream(file):
        yield memoryview(piece.data)
