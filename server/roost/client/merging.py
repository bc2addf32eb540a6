"""What both sides should come to be, out of the three trees: no order, no action yet."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from roost.client.names import copy_name
from roost.client.tree import TEMPORARY, Node, Place, Tree, fold, paths_of


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is left as it is, and why."""

    path: str
    reason: str


Refusal = Callable[[str], str | None]


@dataclass(slots=True)
class Merged:
    """
    places -- where everything belongs, by id, on both sides
    only_local, only_remote -- what stays on one side, as the other can't have it
    unmoved -- what stays where it is on this device, though it is elsewhere on the server
    dead -- what goes from both
    """

    places: dict[str, Place] = field(default_factory=dict)
    only_local: set[str] = field(default_factory=set)
    only_remote: set[str] = field(default_factory=set)
    unmoved: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def merge(
    remote: Tree,
    local: Tree,
    synced: Tree,
    *,
    stamp: str,
    not_remote: Refusal,
    not_local: Refusal,
) -> Merged:
    """
    Merges places by themselves and contents by themselves, so that a rename here and an edit there
    are both kept. Of two renames the server's stays, since others have it already.

    stamp -- what tells a name that was given up from others: device and time
    not_remote, not_local -- why a side can't have a name, or None
    """
    return _Merge(remote, local, synced, stamp, not_remote, not_local).run()


class _Merge:
    def __init__(
        self,
        remote: Tree,
        local: Tree,
        synced: Tree,
        stamp: str,
        not_remote: Refusal,
        not_local: Refusal,
    ) -> None:
        self._remote = remote
        self._local = local
        self._synced = synced
        self._stamp = stamp
        self._not_remote = not_remote
        self._not_local = not_local
        self._local_paths = paths_of(local)
        self._remote_paths = paths_of(remote)
        self._merged = Merged()
        # Those that are where this device has put them, and could go back.
        self._moved_here: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    def run(self) -> Merged:
        keys = sorted(self._remote.keys() | self._local.keys())
        places = self._merged.places
        for key in keys:
            places[key] = self._place(key)
        # What is settled in one pass may open what an earlier one had settled: a file that goes
        # back to its old folder keeps that folder alive. Every change is towards the server's tree,
        # or to a name that nothing else has, so it ends; the bound is for a defect in this.
        for _ in range(len(keys) + 10):
            self._find_dead(keys)
            if not (
                self._break_cycles()
                or self._hold_names()
                or self._hold_what_is_beneath()
                or self._settle_clashes()
            ):
                return self._merged
        raise AssertionError("the trees can't be merged")

    def _place(self, key: str) -> Place:  # a case each
        remote, local, synced = (
            tree.get(key) for tree in (self._remote, self._local, self._synced)
        )
        if remote is None:
            return _local_place(self._local[key], synced)
        if synced is None:
            return remote.place
        if remote.name.startswith(TEMPORARY):
            # Somebody has not finished. Whoever it was may never come back, so it is put right by
            # whoever sees it: where it belongs here, or was.
            place = synced.place if local is None or is_aside(local) else local.place
            if place[0] is None or place[0] in self._remote or place[0] in self._local:
                self._moved_here.add(key)
                return place
        if local is None or is_aside(local):
            return remote.place
        if remote.place == synced.place and local.place != synced.place:
            self._moved_here.add(key)
            return local.place
        return remote.place

    def _go_back(self, key: str) -> None:
        self._merged.places[key] = self._remote[key].place
        self._moved_here.discard(key)

    def _find_dead(self, keys: Iterable[str]) -> None:
        """Gone on one side and not edited on the other, and no folder of anything that lives."""
        alive: set[str] = set()
        for key in keys:
            remote, local, synced = (
                tree.get(key) for tree in (self._remote, self._local, self._synced)
            )
            if (
                (remote is not None and local is not None)
                or synced is None
                or any(
                    node is not None and not node.folder and node.hash != synced.hash
                    for node in (remote, local)
                )
            ):
                current: str | None = key
                while current is not None and current not in alive:
                    alive.add(current)
                    current = self._merged.places[current][0]
        self._merged.dead = {key for key in keys if key not in alive}

    def _break_cycles(self) -> bool:
        """One folder was moved into another here, and that one into the first there."""
        places = self._merged.places
        fine: set[str] = set()
        broken = False
        for key in sorted(places):
            chain: dict[str, None] = {}
            current: str | None = key
            while current is not None and current not in fine and current not in chain:
                chain[current] = None
                current = places[current][0]
            if current is not None and current in chain:
                cycle = list(chain)[list(chain).index(current) :]
                # Neither tree has a cycle, so something in it is where only this device has it.
                for each in cycle:
                    if each in self._moved_here:
                        self._go_back(each)
                        broken = True
            fine.update(chain)
        return broken

    def _tell(self, path: str, reason: str) -> None:
        if (path, reason) not in self._told:
            self._told.add((path, reason))
            self._merged.problems.append(Problem(path, reason))

    def _hold(self, key: str, reason: str) -> bool:
        """Leaves a place that the other side can't have; whether that is news."""
        merged = self._merged
        if key not in self._remote:
            if key in merged.only_local:
                return False
            self._tell(self._local_paths[key], reason)
            merged.only_local.add(key)
        elif key not in self._local:
            if key in merged.only_remote:
                return False
            self._tell(self._remote_paths[key], reason)
            merged.only_remote.add(key)
        elif key in self._moved_here:
            self._tell(self._local_paths[key], reason)
            self._go_back(key)
            merged.unmoved.add(key)
        elif key not in merged.unmoved:
            self._tell(self._remote_paths[key], reason)
            merged.unmoved.add(key)
        else:
            return False
        return True

    def _hold_names(self) -> bool:
        held = False
        for key, (_, name) in sorted(self._merged.places.items()):
            if key in self._merged.dead:
                continue
            if key not in self._remote or key in self._moved_here:
                reason = self._not_remote(name)
            elif key not in self._local or self._local[key].name != name:
                reason = self._not_local(name)
            else:
                reason = None
            if reason is not None:
                held = self._hold(key, reason) or held
        return held

    def _hold_what_is_beneath(self) -> bool:
        """What is in a folder that only one side can have."""
        merged = self._merged
        held = False
        for key, (parent, _) in sorted(merged.places.items()):
            if key in merged.dead or parent is None:
                continue
            if parent in merged.only_local:
                # A file that this device has put there is, for the server, where it was.
                held = self._hold(key, "the folder that it is in can't be on the server") or held
            elif parent in merged.only_remote and not self._lives_elsewhere(key):
                held = self._hold(key, "the folder that it is in can't be on this machine") or held
        return held

    def _lives_elsewhere(self, key: str) -> bool:
        return key in self._merged.only_remote or key in self._merged.unmoved

    def _settle_clashes(self) -> bool:
        """Two of one name in one folder, or of names that differ in case alone."""
        merged = self._merged
        siblings: dict[tuple[str | None, str], list[str]] = defaultdict(list)
        for key, (parent, name) in merged.places.items():
            if key not in merged.dead and key not in merged.only_local:
                siblings[(parent, fold(name))].append(key)
        settled = False
        for (parent, _), keys in sorted(
            siblings.items(), key=lambda item: (item[0][0] or "", item[0][1])
        ):
            if len(keys) < 2:
                continue
            first, *others = sorted(keys, key=lambda key: (not self._is_there(key), key))
            for key in others:
                if self._is_there(key):
                    continue
                name = merged.places[key][1]
                if name == merged.places[first][1]:
                    number = 1
                    while (parent, fold(copy_name(name, self._stamp, number))) in siblings:
                        number += 1
                    new_name = copy_name(name, self._stamp, number)
                    merged.places[key] = (parent, new_name)
                    siblings[(parent, fold(new_name))] = [key]
                    if key in self._remote:
                        self._moved_here.add(key)
                    settled = True
                else:
                    other = self._name_of(first)
                    settled = self._hold(key, f"its name differs from {other} in case alone") or (
                        settled
                    )
        return settled

    def _is_there(self, key: str) -> bool:
        """On the server, and already in the place."""
        node = self._remote.get(key)
        return node is not None and node.place == self._merged.places[key]

    def _name_of(self, key: str) -> str:
        return self._merged.places[key][1]


def _local_place(local: Node, synced: Node | None) -> Place:
    if synced is not None and is_aside(local):
        return (local.parent, synced.name)
    return local.place


def is_aside(node: Node) -> bool:
    """Whether it has made way for another one, in a round that was broken off."""
    return node.name.startswith(TEMPORARY)
