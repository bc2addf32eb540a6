"""What the client remembers of a folder, in SQLite: what was synced, and what files were hashed."""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from roost.client.tree import Node

_FORMAT: Final = 1

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS settings (
    name TEXT PRIMARY KEY, value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS synced (
    id TEXT PRIMARY KEY, parent TEXT, name TEXT NOT NULL, folder INTEGER NOT NULL,
    hash TEXT NOT NULL, size INTEGER NOT NULL, executable INTEGER NOT NULL,
    version INTEGER NOT NULL, device TEXT, inode TEXT, modified_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS remote (
    id TEXT PRIMARY KEY, parent TEXT, name TEXT NOT NULL, folder INTEGER NOT NULL,
    hash TEXT NOT NULL, size INTEGER NOT NULL, executable INTEGER NOT NULL,
    version INTEGER NOT NULL, device TEXT, inode TEXT, modified_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hashed (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL, inode TEXT NOT NULL, hash TEXT NOT NULL, seen_ns INTEGER NOT NULL
) WITHOUT ROWID;
"""


class Hashed(NamedTuple):
    """
    A file as it was when it was hashed.

    seen_ns -- the clock of the file system shortly before that: what was changed later, or at the
        same moment, may have kept its times
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    hash: str
    seen_ns: int


class StateError(Exception):
    """The state can't be used. One line, with the cure."""


class State:
    """The database of one folder. For one thread."""

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            # What is not on the disk yet after a crash is found out again, by the next plan.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES)
            known = self.get("format")
        except sqlite3.DatabaseError as error:
            raise StateError(
                f"{path} can't be read ({error}): move it away, and the folder is compared anew"
            ) from error
        if known is None:
            self.set("format", str(_FORMAT))
        elif known != str(_FORMAT):
            raise StateError(f"{path} is of another version of roost: use that, or a newer one")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def get(self, name: str) -> str | None:
        """A setting, or None."""
        row = self._database.execute(
            "SELECT value FROM settings WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        """Keeps a setting."""
        self._database.execute("REPLACE INTO settings VALUES (?, ?)", (name, value))

    def synced(self) -> dict[str, Node]:
        """The tree that both sides had."""
        return self._tree("SELECT * FROM synced")

    def remote(self) -> dict[str, Node]:
        """The tree that the server had when it was last asked."""
        return self._tree("SELECT * FROM remote")

    def _tree(self, query: str) -> dict[str, Node]:
        return {
            row[0]: Node(
                row[0],
                row[1],
                row[2],
                bool(row[3]),
                row[4],
                row[5],
                bool(row[6]),
                row[7],
                None if row[9] is None else (int(row[8]), int(row[9])),
                row[10],
            )
            for row in self._database.execute(query)
        }

    def note_synced(self, tree: Mapping[str, Node], changed: Iterable[str]) -> None:
        """Keeps these nodes as they are in the tree, or are not."""
        self._note(
            "REPLACE INTO synced VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "DELETE FROM synced WHERE id = ?",
            tree,
            changed,
        )

    def note_remote(
        self, tree: Mapping[str, Node], changed: Iterable[str], cursor: str | None
    ) -> None:
        """Keeps what the server has, and up to where that is known; both or neither."""
        self._note(
            "REPLACE INTO remote VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "DELETE FROM remote WHERE id = ?",
            tree,
            changed,
            cursor,
        )

    def _note(
        self,
        put: str,
        drop: str,
        tree: Mapping[str, Node],
        changed: Iterable[str],
        cursor: str | None = None,
    ) -> None:
        keys = list(changed)
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(put, [_row(tree[key]) for key in keys if key in tree])
            self._database.executemany(drop, [(key,) for key in keys if key not in tree])
            if cursor is not None:
                self.set("cursor", cursor)
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def hashed(self) -> dict[str, Hashed]:
        """What is known of files without reading them, by path."""
        return {
            row[0]: Hashed(row[1], row[2], row[3], int(row[4]), row[5], row[6])
            for row in self._database.execute("SELECT * FROM hashed")
        }

    def note_hashed(self, put: Mapping[str, Hashed], gone: Iterable[str]) -> None:
        """Keeps what has been hashed, and forgets what is not there any more."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(
            "REPLACE INTO hashed VALUES (?, ?, ?, ?, ?, ?, ?)",
            # An inode may be a number beyond SQLite's.
            [(path, h[0], h[1], h[2], str(h.inode), h.hash, h.seen_ns) for path, h in put.items()],
        )
        self._database.executemany("DELETE FROM hashed WHERE path = ?", [(path,) for path in gone])
        self._database.execute("COMMIT")


def _row(node: Node) -> tuple[object, ...]:
    device, inode = (None, None) if node.inode is None else map(str, node.inode)
    return (
        node.id,
        node.parent,
        node.name,
        node.folder,
        node.hash,
        node.size,
        node.executable,
        node.version,
        device,
        inode,
        node.modified_ns,
    )
