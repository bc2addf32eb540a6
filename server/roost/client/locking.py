"""One client for a folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class InUseError(Exception):
    """Another client keeps this folder in step. One line."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a state folder, which goes with the process. Raises InUseError."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise InUseError(
                f"another roost sync (process {other or 'unknown'}) is at work in"
                f" {folder.parent}: end that first"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
