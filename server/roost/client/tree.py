"""Files and folders as a tree of nodes by stable id; a path is walked, never kept."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

# Of a node that had to make way for another one for a moment.
TEMPORARY: Final = ".roost-moving-"

# Ids of what the server does not know yet begin with it.
NEW: Final = "+"

Place = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Node:
    """
    id -- the server's, or NEW and a path for what only this device has
    parent -- id of the folder; None in the root
    hash -- base16 SHA-256 of all bytes; "" of a folder
    version -- the server's; 0 where there is none
    inode -- device and inode on this machine, where it has one
    modified_ns -- the clock of whoever changed it, only shown
    """

    id: str
    parent: str | None
    name: str
    folder: bool = False
    hash: str = ""
    size: int = 0
    executable: bool = False
    version: int = 0
    inode: tuple[int, int] | None = None
    modified_ns: int = 0

    @property
    def place(self) -> Place:
        """The folder that it is in, and its name there."""
        return (self.parent, self.name)


Tree = Mapping[str, Node]


def fold(name: str) -> str:
    """The same for names that differ in case or composition alone."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


def walk(places: Mapping[str, Place], key: str) -> str:
    """The path of a node, with slashes."""
    parts = []
    current: str | None = key
    while current is not None:
        current, name = places[current]
        parts.append(name)
    return "/".join(reversed(parts))


def places_of(tree: Tree) -> dict[str, Place]:
    """Where each node is."""
    return {key: node.place for key, node in tree.items()}


def paths_of(tree: Tree) -> dict[str, str]:
    """The path of each node, by id. What is in a folder that is not in the tree gets one that no
    file can have."""
    paths: dict[str, str] = {}
    for key in tree:
        waiting = []
        current: str | None = key
        while current is not None and current in tree and current not in paths:
            waiting.append(current)
            current = tree[current].parent
        for each in reversed(waiting):
            node = tree[each]
            above = None if node.parent is None else paths.get(node.parent, "\0")
            paths[each] = node.name if above is None else f"{above}/{node.name}"
    return paths


def without(tree: Tree, roots: Iterable[str]) -> dict[str, Node]:
    """The tree without these nodes and what is beneath them, or beneath what is not there."""
    gone = set(roots)
    kept: dict[str, bool] = {}
    for key in tree:
        chain = []
        current: str | None = key
        while (
            current is not None and current in tree and current not in gone and current not in kept
        ):
            chain.append(current)
            current = tree[current].parent
        keep = current is None or kept.get(current, False)
        for each in chain:
            kept[each] = keep
    return {key: node for key, node in tree.items() if kept.get(key, False)}
