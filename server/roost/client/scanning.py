"""What is in the folder: stat first, and a hash only of what that does not know already."""

import hashlib
import os
import stat
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from roost.client.ignoring import Ignored
from roost.client.matching import Found
from roost.client.merging import Problem
from roost.client.state import Hashed

# Times are as fine as this on the coarsest file systems that are still in use (FAT has 2 s).
_COARSEST_NS: Final = 2_000_000_000

_BLOCK: Final = 1 << 20


@dataclass(slots=True)
class Scan:
    """
    found -- by path, composed (NFC)
    real -- the name on disk of a path, where that is written otherwise
    put, gone -- what is to be kept of hashes
    """

    found: list[Found] = field(default_factory=list)
    real: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    put: dict[str, Hashed] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)


def scan(
    root: Path,
    ignored: Ignored,
    hashed: Mapping[str, Hashed],
    *,
    executable_of: Callable[[str], bool] | None = None,
    read: Callable[[int], object] = lambda _bytes: None,
) -> Scan:
    """
    Reads the folder. Raises OSError where the folder itself can't be read.

    hashed -- what is known from before, by path
    executable_of -- on a system without such a bit, what it was by path
    read -- told of each file that had to be read, with its size
    """
    result = Scan()
    _Scanner(root, ignored, hashed, executable_of, read, result).folder("", "")
    result.gone = hashed.keys() - {each.path for each in result.found if not each.folder}
    return result


class _Scanner:
    def __init__(
        self,
        root: Path,
        ignored: Ignored,
        hashed: Mapping[str, Hashed],
        executable_of: Callable[[str], bool] | None,
        read: Callable[[int], object],
        result: Scan,
    ) -> None:
        self._root = root
        self._ignored = ignored
        self._hashed = hashed
        self._executable_of = executable_of
        self._read = read
        self._result = result
        self._device = root.stat().st_dev

    def folder(self, path: str, real: str) -> None:
        """Everything below a folder; of the root an error is raised, of others it is a problem."""
        try:
            with os.scandir(self._root / real) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not path:
                raise
            self._unreadable(path, error)
            return
        names: set[str] = set()
        for entry in ordered:
            try:
                entry.name.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(entry.name).decode(errors="backslashreplace")
                self._problem(_below(path, shown), "its name is not UTF-8")
                continue
            name = unicodedata.normalize("NFC", entry.name)
            entry_path = _below(path, name)
            if name in names:
                self._problem(entry_path, "another name looks the same: it is composed otherwise")
                continue
            names.add(name)
            try:
                self._entry(entry, entry_path, _below(real, entry.name))
            except FileNotFoundError:
                # Gone while it was looked at.
                continue
            except OSError as error:
                self._unreadable(entry_path, error)

    def _entry(self, entry: os.DirEntry[str], path: str, real: str) -> None:
        is_folder = entry.is_dir(follow_symlinks=False)
        if self._ignored(path, folder=is_folder):
            return
        status = entry.stat(follow_symlinks=False)
        if path != real:
            self._result.real[path] = real
        inode = (status.st_dev, status.st_ino)
        if is_folder:
            self._result.found.append(Found(path, folder=True, inode=inode))
            self.folder(path, real)
        elif stat.S_ISREG(status.st_mode):
            executable = (
                bool(status.st_mode & stat.S_IXUSR)
                if self._executable_of is None
                else self._executable_of(path)
            )
            digest = self._hash(path, real, status)
            self._result.found.append(
                Found(path, False, digest, status.st_size, executable, inode, status.st_mtime_ns)
            )
        elif stat.S_ISLNK(status.st_mode):
            self._problem(path, "it is a symbolic link")
        else:
            self._problem(path, "it is no file: a socket, pipe or device")

    def _hash(self, path: str, real: str, status: os.stat_result) -> str:
        known = self._hashed.get(path)
        if known is not None and is_unchanged(known, status):
            return known.hash
        file = self._root / real
        for _ in range(3):
            seen_ns = time.time_ns()
            digest, before, after = hash_file(file)
            self._read(after.st_size)
            if _times(before) == _times(after):
                break
        else:
            raise OSError("it is being written to")
        self._result.put[path] = Hashed(
            after.st_size,
            after.st_mtime_ns,
            after.st_ctime_ns,
            after.st_ino,
            digest,
            seen_ns,
        )
        return digest

    def _problem(self, path: str, reason: str) -> None:
        self._result.problems.append(Problem(path, reason))

    def _unreadable(self, path: str, error: OSError) -> None:
        """What can't be read has not gone."""
        self._result.unreadable.add(path)
        self._problem(path, error.strerror or str(error))


def is_unchanged(known: Hashed, status: os.stat_result) -> bool:
    """
    Whether a file is as it was when it was hashed. One that was changed in the same tick of the
    file system's clock in which it was hashed may look the same ("racily clean", as git says).
    """
    return (
        known.size == status.st_size
        and known.modified_ns == status.st_mtime_ns
        and known.changed_ns == status.st_ctime_ns
        and known.inode == status.st_ino
        and known.seen_ns - max(known.modified_ns, known.changed_ns) > _COARSEST_NS
    )


def hash_file(path: Path) -> tuple[str, os.stat_result, os.stat_result]:
    """Base16 SHA-256 of a file, and how it was before and after it was read. Follows no link."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        while block := file.read(_BLOCK):
            digest.update(block)
        after = os.fstat(descriptor)
    return digest.hexdigest(), before, after


def _times(status: os.stat_result) -> tuple[int, int, int]:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
