"""What to do, and in which order, so that this folder and the workspace come to be the same.

Pure: three trees in, a list of actions out. Nothing here looks at a disk, a clock or the network.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from roost.client.matching import adopt_twins
from roost.client.merging import Merged, Problem, Refusal, merge
from roost.client.tree import TEMPORARY, Node, Place, Tree, fold, places_of, walk

# A chain of names that each wait for the next is followed so far; then one makes way for a moment.
_LONGEST_CHAIN: Final = 50


class Side(StrEnum):
    """Where something is done."""

    LOCAL = "local"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """node is the folder on the other side."""

    side: Side
    node: Node
    path: str


@dataclass(frozen=True, slots=True)
class Move:
    """
    A rename, or a move of a folder with all that is in it.

    node -- as it is on this side now
    temporary -- it makes way, and goes on from there later
    """

    side: Side
    node: Node
    path: str
    to_path: str
    to_place: Place
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Only where it still is what node says; a folder only where it is empty."""

    side: Side
    node: Node
    path: str


@dataclass(frozen=True, slots=True)
class Upload:
    """
    node -- as it is here
    path -- where it is on this machine
    to_path -- where it belongs on the server
    base_version -- the version that it replaces; 0 where it is new
    """

    node: Node
    path: str
    to_path: str
    base_version: int


@dataclass(frozen=True, slots=True)
class ConflictCopy(Upload):
    """
    An upload of what was changed on both sides since base_version: the server merges it into what
    it has, or keeps it as a copy beside.
    """


@dataclass(frozen=True, slots=True)
class Download:
    """
    node -- as it is on the server
    path -- where it belongs here
    replaces -- what is there now, which must not have changed; None where nothing is
    """

    node: Node
    path: str
    replaces: Node | None


@dataclass(frozen=True, slots=True)
class Adopt:
    """Both sides have the same: it is noted as synced. node has the inode here."""

    node: Node
    path: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Neither side has it any more."""

    node: Node
    path: str


Action = MakeFolder | Move | Delete | Upload | Download | Adopt | Forget


@dataclass(frozen=True, slots=True)
class Plan:
    """
    notes -- what only has to be noted
    actions -- what has to be done, in this order; each whose own premise still holds can be carried
        out whether or not another one failed, or fails without harm
    """

    notes: list[Adopt | Forget]
    actions: list[Action]
    problems: list[Problem]


def nothing_refused(_name: str) -> str | None:
    """For a side that can have any name."""
    return None


def plan(
    remote: Tree,
    local: Tree,
    synced: Tree,
    *,
    stamp: str = "",
    not_remote: Refusal = nothing_refused,
    not_local: Refusal = nothing_refused,
    folds_case: bool = False,
) -> Plan:
    """
    remote -- as the server lists it, versions and all
    local -- as matching.identify() gives it
    synced -- what both were when they were last the same
    folds_case -- whether this machine takes names that differ in case alone for one
    """
    local = adopt_twins(local, remote, synced)
    merged = merge(remote, local, synced, stamp=stamp, not_remote=not_remote, not_local=not_local)
    return _Planner(remote, local, synced, merged, folds_case).run()


class _Planner:
    def __init__(
        self, remote: Tree, local: Tree, synced: Tree, merged: Merged, folds_case: bool
    ) -> None:
        self._remote = remote
        self._local = local
        self._synced = synced
        self._merged = merged
        self._folds_case = folds_case

    def run(self) -> Plan:
        merged = self._merged
        wanted = {key: place for key, place in merged.places.items() if key not in merged.dead}
        here = _Side(
            Side.LOCAL,
            self._local,
            self._remote,
            wanted,
            left_out=merged.only_remote,
            immovable=merged.unmoved | merged.only_local,
            dead=merged.dead,
            same=fold if self._folds_case else str,
        )
        there = _Side(
            Side.REMOTE,
            self._remote,
            self._local,
            wanted,
            left_out=merged.only_local,
            immovable=merged.only_remote,
            dead=merged.dead,
            same=fold,
        )
        here.arrange()
        there.arrange()
        sent: list[Action] = []
        fetched: list[Action] = []
        notes: list[Adopt | Forget] = []
        for key in sorted(wanted, key=lambda key: (here.path(key) or there.path(key) or "", key)):
            action = self._content(key, here, there)
            if isinstance(action, Upload):
                sent.append(action)
            elif isinstance(action, Download):
                fetched.append(action)
            elif action is not None:
                notes.append(action)
        gone = self._synced.keys() - self._remote.keys() - self._local.keys()
        notes.extend(Forget(self._synced[key], "") for key in sorted(gone))
        actions = [
            *here.actions,
            *there.actions,
            *sent,
            *fetched,
            *there.deletions(),
            *here.deletions(),
        ]
        return Plan(notes, actions, merged.problems)

    def _content(  # noqa: PLR0911  # a case each
        self, key: str, here: "_Side", there: "_Side"
    ) -> Upload | Download | Adopt | None:
        local, remote, synced = (
            tree.get(key) for tree in (self._local, self._remote, self._synced)
        )
        path, to_path = here.path(key), there.path(key)
        if path is None or to_path is None:
            # Its place can't be made this time.
            return None
        if remote is None:
            if local is None or local.folder:
                return None
            # Deleted there and edited here: the server knows the deleted one by its version.
            return Upload(local, path, to_path, synced.version if synced else 0)
        if local is None:
            return None if remote.folder else Download(remote, path, None)
        if not local.folder:
            if local.hash != remote.hash:
                if synced is not None and synced.hash == local.hash:
                    return Download(remote, path, local)
                if synced is not None and synced.hash == remote.hash:
                    return Upload(local, path, to_path, remote.version)
                return ConflictCopy(local, path, to_path, synced.version if synced else 0)
            if local.executable != remote.executable:
                if synced is not None and synced.executable == remote.executable:
                    return Upload(local, path, to_path, remote.version)
                if (
                    synced is not None
                    and synced.executable == local.executable
                    and synced.version == remote.version
                ):
                    # A server that does not keep this: it stays what it is on each device.
                    return None
                return Download(remote, path, local)
        if local.place != remote.place or (
            synced is not None
            and synced.place == remote.place
            and synced.hash == remote.hash
            and synced.executable == remote.executable
            and synced.version == remote.version
            and synced.inode == local.inode
        ):
            return None
        return Adopt(replace(remote, inode=local.inode), path)


class _Side:
    """One side, moved step by step from what it is to what it should be."""

    def __init__(
        self,
        side: Side,
        tree: Tree,
        other: Tree,
        wanted: dict[str, Place],
        *,
        left_out: set[str],
        immovable: set[str],
        dead: set[str],
        same: Callable[[str], str],
    ) -> None:
        self.actions: list[Action] = []
        self._side = side
        self._tree = tree
        self._other = other
        self._same = same
        self._immovable = immovable
        self._dead = dead & tree.keys()
        # Where everything is while the actions so far are carried out.
        self._places = places_of(tree)
        self._wanted = {
            key: self._places[key] if key in immovable and key in tree else place
            for key, place in wanted.items()
            if key not in left_out
        }
        self._slots: dict[tuple[str | None, str], set[str]] = defaultdict(set)
        self._children: dict[str | None, int] = defaultdict(int)
        for key, place in self._places.items():
            self._slots[self._slot(place)].add(key)
            self._children[place[0]] += 1
        self._settled: set[str] = set()
        self._failed: set[str] = set()
        self._under_way: set[str] = set()

    def path(self, key: str) -> str | None:
        """Where it will be before contents are moved; None where it has no place there."""
        return walk(self._places, key) if key in self._settled else None

    def arrange(self) -> None:
        """Makes folders and moves things; folders come before what belongs in them."""
        for key in _from_the_top(self._wanted):
            self._place(key, 0)

    def deletions(self) -> Iterable[Action]:
        """What is in a folder goes before it."""
        dead = {key: self._places[key] for key in self._dead if key in self._places}
        for key in reversed(_from_the_top(dead)):
            if self._children[key] == 0:
                yield Delete(self._side, self._tree[key], walk(self._places, key))
                self._leave(key)

    def _slot(self, place: Place) -> tuple[str | None, str]:
        return (place[0], self._same(place[1]))

    def _place(self, key: str, depth: int) -> None:
        if key in self._settled or key in self._failed:
            return
        place = self._wanted[key]
        parent = place[0]
        if parent is not None and parent not in self._settled:
            self._failed.add(key)
            return
        if self._places.get(key) == place:
            self._settled.add(key)
            return
        self._under_way.add(key)
        for occupant in sorted(self._slots[self._slot(place)] - {key}):
            if not self._make_way(occupant, place, depth):
                self._failed.add(key)
                self._under_way.discard(key)
                return
        self._under_way.discard(key)
        if key in self._places:
            self._move(key, place)
        else:
            self._enter(key, place)
            if self._other[key].folder:
                self.actions.append(
                    MakeFolder(self._side, self._other[key], walk(self._places, key))
                )
        self._settled.add(key)

    def _make_way(self, occupant: str, place: Place, depth: int) -> bool:
        """Whether the place is free of it now."""
        if occupant in self._dead:
            if not self._tree[occupant].folder:
                self.actions.append(
                    Delete(self._side, self._tree[occupant], walk(self._places, occupant))
                )
                self._leave(occupant)
                return True
        elif occupant not in self._wanted or occupant in self._immovable:
            return False
        elif occupant not in self._under_way and depth < _LONGEST_CHAIN:
            parent = self._wanted[occupant][0]
            if parent is None or parent in self._settled:
                self._place(occupant, depth + 1)
            if occupant not in self._slots[self._slot(place)]:
                return True
        number = 0
        while True:
            name = f"{TEMPORARY}{number}-{occupant.rpartition('/')[2][:40]}"
            if not self._slots[self._slot((place[0], name))]:
                break
            number += 1
        self._move(occupant, (place[0], name), temporary=True)
        return True

    def _move(self, key: str, place: Place, *, temporary: bool = False) -> None:
        path = walk(self._places, key)
        self._leave(key)
        self._enter(key, place)
        to_path = walk(self._places, key)
        self.actions.append(Move(self._side, self._tree[key], path, to_path, place, temporary))

    def _leave(self, key: str) -> None:
        place = self._places.pop(key)
        self._slots[self._slot(place)].discard(key)
        self._children[place[0]] -= 1

    def _enter(self, key: str, place: Place) -> None:
        self._places[key] = place
        self._slots[self._slot(place)].add(key)
        self._children[place[0]] += 1


def _from_the_top(places: dict[str, Place]) -> list[str]:
    """Each after the folder that it is in."""
    depths: dict[str, int] = {}
    for key in places:
        chain = []
        current: str | None = key
        while current is not None and current in places and current not in depths:
            chain.append(current)
            current = places[current][0]
        depth = depths[current] + 1 if current is not None and current in depths else 0
        for each in reversed(chain):
            depths[each] = depth
            depth += 1
    return sorted(places, key=lambda key: (depths[key], places[key][1], key))
