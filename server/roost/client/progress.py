"""What is said while it goes on: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm


def printable(text: str) -> str:
    """A name as it may be shown: nothing in it moves the cursor."""
    return (
        "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode()
            for character in text
        )
        .encode(errors="backslashreplace")
        .decode()
    )


class Progress:
    """Bytes of one round."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._bar: tqdm | None = None  # type: ignore[type-arg]

    def say(self, line: str) -> None:
        """A line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(printable(line), file=self._out)
        else:
            print(printable(line), file=self._out, flush=True)

    def begin(self, sizes: Sequence[int]) -> Self:
        """So many bytes are to be moved. A few are over before a bar is drawn."""
        if self._out.isatty() and sum(sizes) > 1 << 20:
            self._bar = tqdm(
                total=sum(sizes),
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                file=self._out,
                leave=False,
                delay=0.5,
            )
        return self

    def moved(self, size: int) -> None:
        """So many of them are through."""
        if self._bar is not None:
            self._bar.update(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
