"""Which of the files found on disk are those that were there before, by another name perhaps."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from roost.client.tree import NEW, Node, Tree, paths_of


@dataclass(frozen=True, slots=True)
class Found:
    """A file or folder as a scan finds it, by its path below the root."""

    path: str
    folder: bool = False
    hash: str = ""
    size: int = 0
    executable: bool = False
    inode: tuple[int, int] | None = None
    modified_ns: int = 0


def identify(  # noqa: PLR0912  # one rule after the other
    found: Sequence[Found], synced: Tree
) -> dict[str, Node]:
    """
    The local tree: what was found, each under the id that it was synced with.

    A path says more than an inode, since editors write a new file in place of the old one, and an
    inode more than a hash, since one content may be in many files.
    """
    children = {node.place: node for node in synced.values()}
    by_inode: dict[tuple[tuple[int, int] | None, bool], Node] = {
        (node.inode, node.folder): node for node in synced.values() if node.inode
    }
    ids: dict[str, str] = {}
    taken: set[str] = set()
    ordered = sorted(found, key=lambda each: (each.path.count("/"), each.path))

    def place(each: Found) -> tuple[str | None, str]:
        folder, _, name = each.path.rpartition("/")
        return (ids.get(folder, f"{NEW}{folder}") if folder else None, name)

    def take(each: Found, node: Node | None) -> None:
        if node is not None and node.folder == each.folder and node.id not in taken:
            ids[each.path] = node.id
            taken.add(node.id)

    # Folders first, each by its path and then by its inode, so that what is in a folder that was
    # moved is still in its place. A path that was synced is never taken by an inode from elsewhere.
    folders = [each for each in ordered if each.folder]
    at_home = {each.path for each in folders}
    homes = paths_of(synced)
    for each in folders:
        take(each, children.get(place(each)))
        if each.path not in ids:
            moved = by_inode.get((each.inode, True))
            if moved is not None and homes[moved.id] not in at_home:
                take(each, moved)
    for each in folders:
        if each.path not in ids:
            take(each, by_inode.get((each.inode, True)))
    files = [each for each in ordered if not each.folder]
    for each in files:
        take(each, children.get(place(each)))
    for each in files:
        if each.path not in ids:
            take(each, by_inode.get((each.inode, False)))
    by_hash: dict[str, list[Node]] = defaultdict(list)
    for node in sorted(synced.values(), key=lambda node: node.id):
        if not node.folder and node.size and node.id not in taken:
            by_hash[node.hash].append(node)
    for each in files:
        if each.path not in ids and each.hash in by_hash:
            candidates = [node for node in by_hash[each.hash] if node.id not in taken]
            name = each.path.rpartition("/")[2]
            take(each, min(candidates, key=lambda node: node.name != name, default=None))

    local = {}
    for each in ordered:
        parent, name = place(each)
        key = ids.get(each.path, f"{NEW}{each.path}")
        local[key] = Node(
            key,
            parent,
            name,
            each.folder,
            each.hash,
            each.size,
            each.executable,
            0,
            each.inode,
            each.modified_ns,
        )
    return local


def adopt_twins(local: Tree, remote: Tree, synced: Tree) -> dict[str, Node]:
    """The local tree with the ids of what the server has by the same name, new on both sides."""
    there = {node.place: node for node in remote.values()}
    ids: dict[str, str] = {}
    adopted: dict[str, Node] = {}
    # identify() has put folders before what is in them.
    for key, node in local.items():
        parent = ids.get(node.parent, node.parent) if node.parent is not None else None
        twin = there.get((parent, node.name)) if key.startswith(NEW) else None
        if (
            twin is not None
            and twin.folder == node.folder
            and twin.id not in local
            and twin.id not in synced
        ):
            ids[key] = twin.id
        new_key = ids.get(key, key)
        adopted[new_key] = replace(node, id=new_key, parent=parent)
    return adopted
