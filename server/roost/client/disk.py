"""Changes of the folder, none of which overwrites what somebody has written meanwhile."""

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from roost.client.ignoring import STATE_FOLDER
from roost.client.names import copy_name
from roost.client.scanning import hash_file
from roost.client.tree import Node

_TEMPORARY: Final = "tmp"

# A file on its way to be deleted, and where it was.
_ASIDE: Final = ".aside"
_ORIGIN: Final = ".origin"


class ChangedError(Exception):
    """What is on disk is not what the plan was made for; the next one will see it."""


class DamagedError(Exception):
    """What was fetched is not what it should be."""


class Disk:
    """The folder, by composed paths below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / STATE_FOLDER
        self._real: Mapping[str, str] = {}
        self._temporary = self.state / _TEMPORARY

    def prepare(self) -> None:
        """Makes the client's own folder."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        self._temporary.mkdir(mode=0o700, exist_ok=True)

    def clear(self) -> None:
        """Puts right what a killed client has left behind. Only under the lock."""
        for each in sorted(self._temporary.iterdir()):
            if each.suffix == _ASIDE:
                # It was about to be deleted, and nobody had looked yet whether it had changed.
                target = self.root / each.with_suffix(_ORIGIN).read_text("utf-8")
                target.parent.mkdir(parents=True, exist_ok=True)
                _rename_file(each, _free_name(target))
        for each in self._temporary.iterdir():
            # Parts are gone on with, under the name of their hash.
            if each.suffix == _ORIGIN:
                each.unlink()

    def use_names(self, real: Mapping[str, str]) -> None:
        """real -- what is on disk under a name that is not composed, as the last scan found it"""
        self._real = real

    def at(self, path: str) -> Path:
        """Where a path is on disk."""
        if self._real:
            names = path.split("/")
            for depth in range(len(names), 0, -1):
                known = self._real.get("/".join(names[:depth]))
                if known is not None and os.path.lexists(self.root / known):
                    return self.root.joinpath(known, *names[depth:])
        return self.root / path

    def make_folder(self, path: str) -> tuple[int, int]:
        """Makes a folder, or takes the one that is there; gives its inode."""
        folder = self.at(path)
        self._require_folders(path)
        try:
            folder.mkdir()
        except FileExistsError:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise ChangedError(path) from None
        status = folder.lstat()
        return (status.st_dev, status.st_ino)

    def move(self, node: Node, path: str, to_path: str) -> None:
        """Renames what is still what it was, to a name that is free."""
        source, target = self.at(path), self.root / to_path
        self._require_folders(to_path)
        target = self.at(to_path.rpartition("/")[0]) / target.name if "/" in to_path else target
        try:
            status = source.lstat()
        except FileNotFoundError:
            raise ChangedError(path) from None
        if node.inode is not None and (status.st_dev, status.st_ino) != node.inode:
            raise ChangedError(path)
        if os.path.lexists(target) and not _same(status, target.lstat()):
            raise ChangedError(to_path)
        if node.folder or _same_name(source, target):
            # A folder takes no place but an empty folder's.
            source.rename(target)
        else:
            _rename_file(source, target)
        _sync_folder(target.parent)

    def delete(self, node: Node, path: str) -> None:
        """Deletes a file that is still what node says, or a folder that is empty."""
        target = self.at(path)
        if node.folder:
            try:
                target.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:
                raise ChangedError(path) from error
            return
        # Out of everybody's sight first: nobody can write to it between the look and the deletion.
        aside = self._temporary / f"{secrets.token_hex(8)}{_ASIDE}"
        origin = aside.with_suffix(_ORIGIN)
        origin.write_text(target.relative_to(self.root).as_posix(), "utf-8")
        try:
            target.rename(aside)
        except FileNotFoundError:
            origin.unlink()
            return
        try:
            digest, _, _ = hash_file(aside)
        except OSError:
            digest = ""
        if digest != node.hash:
            _rename_file(aside, _free_name(target))
            origin.unlink()
            raise ChangedError(path)
        aside.unlink()
        origin.unlink()

    def set_executable(self, path: str, executable: bool) -> tuple[int, int]:
        """Whoever may read it may run it, or nobody; gives its inode."""
        target = self.at(path)
        status = target.lstat()
        target.chmod(_mode(stat.S_IMODE(status.st_mode), executable))
        return (status.st_dev, status.st_ino)

    def part(self, node: Node) -> Path:
        """Where a download is kept until it is whole, and gone on with after an interruption."""
        return self._temporary / f"{node.hash}-{node.id.replace('/', '_')}.part"

    def install(self, part: Path, node: Node, path: str, replaces: Node | None) -> tuple[int, int]:
        """
        Puts a complete download in its place; gives its inode. Raises ChangedError where something
        other than replaces is there, and DamagedError where it is not what node says.
        """
        digest, _, _ = hash_file(part)
        if digest != node.hash:
            part.unlink()
            raise DamagedError(path)
        self._require_folders(path)
        target = self.at(path)
        mode = 0o666 & ~_umask()
        if replaces is not None:
            mode = self._require_unchanged(target, replaces, path)
        part.chmod(_mode(mode, node.executable))
        if node.modified_ns:
            os.utime(part, ns=(node.modified_ns, node.modified_ns))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if replaces is None:
            _rename_file(part, target)
        else:
            self._require_unchanged(target, replaces, path)
            part.replace(target)
        _sync_folder(target.parent)
        status = target.lstat()
        return (status.st_dev, status.st_ino)

    def _require_unchanged(self, target: Path, node: Node, path: str) -> int:
        """Gives the mode of a file that is what node says. Raises ChangedError."""
        try:
            status = target.lstat()
            if stat.S_ISREG(status.st_mode):
                if (
                    (status.st_dev, status.st_ino) == node.inode
                    and status.st_mtime_ns == node.modified_ns
                    and status.st_size == node.size
                    and self._looked_at == (path, node.hash, status.st_ctime_ns)
                ):
                    return stat.S_IMODE(status.st_mode)
                digest, before, after = hash_file(target)
                if digest == node.hash and before.st_mtime_ns == after.st_mtime_ns:
                    self._looked_at = (path, node.hash, after.st_ctime_ns)
                    return stat.S_IMODE(status.st_mode)
        except OSError as error:
            raise ChangedError(path) from error
        raise ChangedError(path)

    _looked_at: tuple[str, str, int] | None = None

    def _require_folders(self, path: str) -> None:
        """Everything above a path is a folder of this one, not a link that leads elsewhere."""
        names = path.split("/")[:-1]
        for depth in range(1, len(names) + 1):
            above = self.at("/".join(names[:depth]))
            try:
                fine = stat.S_ISDIR(above.lstat().st_mode)
            except OSError as error:
                raise ChangedError(path) from error
            if not fine:
                raise ChangedError(path)


async def write_part(part: Path, start: int, data: AsyncIterator[bytes]) -> None:
    """Writes what arrives behind the first so many bytes."""
    with part.open("r+b" if start else "wb") as file:
        file.truncate(start)
        file.seek(start)
        async for block in data:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def digest_of(data: bytes) -> str:
    """Base16 SHA-256."""
    return hashlib.sha256(data).hexdigest()


def _rename_file(source: Path, target: Path) -> None:
    """A rename that takes nobody's place. Raises ChangedError."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise ChangedError(str(target)) from None
    except OSError:
        # A file system without links; a name taken in this moment would be lost.
        if os.path.lexists(target):
            raise ChangedError(str(target)) from None
        source.rename(target)
    else:
        source.unlink()


def _free_name(target: Path) -> Path:
    """The same where nobody has taken it meanwhile."""
    number = 0
    free = target
    while os.path.lexists(free):
        number += 1
        free = target.with_name(copy_name(target.name, "kept", number))
    return free


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _same_name(source: Path, target: Path) -> bool:
    """On a file system that folds case, where both names are one."""
    with contextlib.suppress(OSError):
        return target.exists() and source.samefile(target)
    return False


def _mode(mode: int, executable: bool) -> int:
    return mode | ((mode & 0o444) >> 2) if executable else mode & ~0o111


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """A rename is lasting when its folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
