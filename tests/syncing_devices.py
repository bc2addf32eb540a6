"""A server and devices in memory, as simple as can be, for tests of the planner."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from roost.client.failures import Failures
from roost.client.matching import Found, identify
from roost.client.planning import (
    Action,
    Adopt,
    Delete,
    Download,
    Forget,
    MakeFolder,
    Move,
    Plan,
    Side,
    Upload,
    plan,
)
from roost.client.settling import settle
from roost.client.tree import NEW, Node, fold, paths_of


class RefusedError(Exception):
    """The premise of an action does not hold any more."""


class Workspace:
    """What the server does, by path as its functions do it; a content is its own hash."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._ids = itertools.count(1)
        self._copies = itertools.count(1)
        self._deleted: list[Node] = []

    def _find(self, path: str) -> Node | None:
        parent: str | None = None
        node = None
        for name in path.split("/"):
            node = next(
                (each for each in self.nodes.values() if each.place == (parent, name)), None
            )
            if node is None:
                return None
            parent = node.id
        return node

    def _free(self, parent: str | None, name: str, but: str = "") -> None:
        for each in self.nodes.values():
            if each.parent == parent and fold(each.name) == fold(name) and each.id != but:
                raise RefusedError

    def make_folder(self, path: str) -> Node:
        folder, _, name = path.rpartition("/")
        there = self._find(path)
        if there is not None:
            if there.folder:
                return there
            raise RefusedError
        parent = self.make_folder(folder).id if folder else None
        self._free(parent, name)
        return self._add(Node("", parent, name, folder=True, version=1))

    def _add(self, node: Node) -> Node:
        node = replace(node, id=f"f{next(self._ids):04}")
        self.nodes[node.id] = node
        return node

    def put(
        self, path: str, content: str, executable: bool, base_version: int, file_id: str | None
    ) -> Node:
        folder, _, name = path.rpartition("/")
        there = self._find(path)
        if there is not None and there.folder:
            raise RefusedError
        if there is None:
            parent = self.make_folder(folder).id if folder else None
            self._free(parent, name)
            for each in reversed(self._deleted if base_version else []):
                if (
                    each.place == (parent, name)
                    and each.id not in self.nodes
                    and file_id in (None, each.id)
                ):
                    return self._change(each, content, executable)
            return self._add(Node("", parent, name, False, content, 1, executable, 1))
        if there.hash == content and there.executable == executable:
            return there
        same = file_id in (None, there.id)
        if there.hash == content and not same:
            return there
        if there.hash == content or (same and there.version == base_version):
            return self._change(there, content, executable)
        copy = f"{name}.copy{next(self._copies)}"
        self._add(Node("", there.parent, copy, False, content, 1, executable, 1))
        return there

    def _change(self, node: Node, content: str, executable: bool) -> Node:
        node = replace(node, hash=content, executable=executable, version=node.version + 1)
        self.nodes[node.id] = node
        return node

    def move(self, key: str, to_path: str) -> Node:
        node = self.nodes.get(key)
        folder, _, name = to_path.rpartition("/")
        parent = self._find(folder) if folder else None
        if node is None or (folder and (parent is None or not parent.folder)):
            raise RefusedError
        current = parent
        while current is not None:
            if current.id == key:
                raise RefusedError
            current = self.nodes[current.parent] if current.parent else None
        self._free(parent.id if parent else None, name, key)
        node = replace(node, parent=parent.id if parent else None, name=name)
        self.nodes[key] = node
        return node

    def delete(self, key: str, version: int) -> None:
        node = self.nodes.get(key)
        if node is None:
            return
        if (not node.folder and node.version != version) or any(
            each.parent == key for each in self.nodes.values()
        ):
            raise RefusedError
        self._deleted.append(self.nodes.pop(key))

    def listing(self) -> dict[str, str | None]:
        """Content by path; None for folders."""
        paths = paths_of(self.nodes)
        return {paths[key]: None if n.folder else n.hash for key, n in self.nodes.items()}


@dataclass(slots=True)
class Entry:
    """A file or folder on a disk, by its inode."""

    inode: int
    content: str | None
    executable: bool = False


@dataclass(slots=True)
class Device:
    """A disk, and what its client remembers."""

    name: str
    workspace: Workspace
    disk: dict[str, Entry] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)
    inodes: itertools.count = field(default_factory=lambda: itertools.count(1))  # type: ignore[type-arg]
    rounds: int = 0

    # What a person does.

    def has_room(self, path: str) -> bool:
        folder, _, _ = path.rpartition("/")
        return path not in self.disk and (
            not folder or (folder in self.disk and self.disk[folder].content is None)
        )

    def write(self, path: str, content: str) -> str | None:
        """The content that a person has overwritten knowingly."""
        entry = self.disk.get(path)
        if entry is not None and entry.content is not None:
            before, entry.content = entry.content, content
            return before
        if entry is None and self.has_room(path):
            self.disk[path] = Entry(next(self.inodes), content)
        return None

    def make_folder(self, path: str) -> None:
        if not self.has_room(path):
            raise RefusedError
        self.disk[path] = Entry(next(self.inodes), None)

    def move(self, path: str, to_path: str) -> None:
        if path not in self.disk or not self.has_room(to_path) or to_path.startswith(f"{path}/"):
            raise RefusedError
        for each in [each for each in self.disk if each == path or each.startswith(f"{path}/")]:
            self.disk[to_path + each[len(path) :]] = self.disk.pop(each)

    def delete(self, path: str) -> list[str]:
        """The contents that a person has deleted knowingly."""
        gone = [each for each in self.disk if each == path or each.startswith(f"{path}/")]
        return [content for each in gone if (content := self.disk.pop(each).content) is not None]

    def listing(self) -> dict[str, str | None]:
        return {path: entry.content for path, entry in self.disk.items()}

    # What its client does.

    def scan(self) -> dict[str, Node]:
        return identify(
            [
                Found(
                    path,
                    entry.content is None,
                    entry.content or "",
                    1,
                    entry.executable,
                    (1, entry.inode),
                )
                for path, entry in self.disk.items()
            ],
            self.synced,
        )

    def plan(self, remote: dict[str, Node] | None = None) -> Plan:
        self.rounds += 1
        return plan(
            dict(self.workspace.nodes if remote is None else remote),
            self.scan(),
            self.synced,
            stamp=f"{self.name} {self.rounds}",
        )

    def carry_out(self, action: Action, *, answered: bool = True) -> bool:
        """Whether its premise held. An answer may get lost, and nothing is noted."""
        try:
            result = self._do(action)
        except RefusedError:
            return False
        if answered:
            settle(self.synced, action, result)
        return True

    def _do(self, action: Action) -> Node | None:  # noqa: PLR0911  # a case each
        match action:
            case Adopt() | Forget():
                return None
            case MakeFolder(side=Side.LOCAL):
                if action.path not in self.disk or self.disk[action.path].content is not None:
                    self.make_folder(action.path)
                return replace(action.node, inode=(1, self.disk[action.path].inode))
            case Move(side=Side.LOCAL):
                self.move(action.path, action.to_path)
                return None
            case Delete(side=Side.LOCAL):
                self._delete_here(action)
                return None
            case Upload():
                entry = self.disk.get(action.path)
                if entry is None or entry.content != action.node.hash:
                    raise RefusedError
                return self.request(action)
            case Download():
                return self._download(action)
            case _:
                return self.request(action)

    def request(self, action: Action) -> Node | None:
        """What an action asks of the server."""
        match action:
            case MakeFolder(side=Side.REMOTE):
                return self.workspace.make_folder(action.path)
            case Move(side=Side.REMOTE):
                return self.workspace.move(action.node.id, action.to_path)
            case Delete(side=Side.REMOTE):
                self.workspace.delete(action.node.id, action.node.version)
                return None
            case Upload():
                return self._put(action)
            case _:
                return None

    def _put(self, action: Upload) -> Node:
        node = action.node
        return self.workspace.put(
            action.to_path,
            node.hash,
            node.executable,
            action.base_version,
            None if node.id.startswith(NEW) else node.id,
        )

    def _delete_here(self, action: Delete) -> None:
        entry = self.disk.get(action.path)
        if entry is None:
            return
        if (entry.content or "") != action.node.hash or any(
            each.startswith(f"{action.path}/") for each in self.disk
        ):
            raise RefusedError
        del self.disk[action.path]

    def _download(self, action: Download) -> Node:
        entry = self.disk.get(action.path)
        if action.replaces is None:
            if not self.has_room(action.path):
                raise RefusedError
        elif entry is None or entry.content != action.replaces.hash:
            raise RefusedError
        self.disk[action.path] = Entry(next(self.inodes), action.node.hash, action.node.executable)
        return replace(action.node, inode=(1, self.disk[action.path].inode))

    def run(self, actions: Sequence[Action], *, answered: int | None = None) -> None:
        """Carries them out in order; behind the first so many no answer comes."""
        failures = Failures()
        for number, action in enumerate(actions):
            if not failures.hold(action) and not self.carry_out(
                action, answered=answered is None or number < answered
            ):
                failures.note(action)

    def sync(self) -> int:
        """One round; how many actions it had."""
        planned = self.plan()
        self.run([*planned.notes, *planned.actions])
        return len(planned.actions)
