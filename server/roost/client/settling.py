"""What is synced once an action has been carried out.

Noted one action at a time, so that what is broken off goes on where it was. Where an answer was
lost and nothing is noted, both sides already are the same, and the next plan says so.
"""

from dataclasses import replace

from roost.client.planning import (
    Action,
    Adopt,
    Delete,
    Download,
    Forget,
    MakeFolder,
    Move,
    Side,
    Upload,
)
from roost.client.tree import NEW, Node


def settle(synced: dict[str, Node], action: Action, result: Node | None) -> set[str]:
    """
    Changes synced; gives the ids of those that changed or went.

    result -- the node as the side that was changed has it now; None after deletions and notes
    """
    match action:
        case Adopt():
            return _put(synced, action.node)
        case Forget() | Delete():
            return _drop(synced, action.node.id)
        case Move():
            return _moved(synced, action, result)
        case MakeFolder(side=Side.LOCAL) | Download():
            return _put(synced, replace(action.node, inode=_made(result).inode))
        case MakeFolder():
            made = _made(result)
            return _put(synced, replace(made, inode=action.node.inode)) | _replace(
                synced, action.node.id, made.id
            )
        case Upload():
            return _uploaded(synced, action, _made(result))


def _made(result: Node | None) -> Node:
    if result is None:
        raise ValueError("what was made is not said")
    return result


def _put(synced: dict[str, Node], node: Node) -> set[str]:
    synced[node.id] = node
    return {node.id}


def _drop(synced: dict[str, Node], key: str) -> set[str]:
    return set() if synced.pop(key, None) is None else {key}


def _replace(synced: dict[str, Node], old: str, new: str) -> set[str]:
    """The server has made it again, under another id."""
    if old == new or old not in synced:
        return set()
    changed = {old}
    del synced[old]
    for node in [node for node in synced.values() if node.parent == old]:
        changed |= _put(synced, replace(node, parent=new))
    return changed


def _moved(synced: dict[str, Node], action: Move, result: Node | None) -> set[str]:
    known = synced.get(action.node.id)
    if known is None or action.temporary:
        return set()
    if action.side is Side.REMOTE:
        made = _made(result)
        # Not its version: that may be of a content which others have put there meanwhile.
        return _put(synced, replace(known, parent=made.parent, name=made.name))
    parent, name = action.to_place
    if parent is not None and parent.startswith(NEW):
        return set()
    return _put(synced, replace(known, parent=parent, name=name))


def _uploaded(synced: dict[str, Node], action: Upload, result: Node) -> set[str]:
    old = action.node
    if result.hash == old.hash:
        noted = replace(result, executable=old.executable, inode=old.inode)
    elif old.id in (result.id, f"{NEW}{action.path}"):
        # The server has merged it with what others wrote, or kept it as a copy. So what is here is
        # safe, and what the server has in its place is news.
        noted = replace(
            result,
            hash=old.hash,
            size=old.size,
            executable=old.executable,
            inode=old.inode,
            version=action.base_version,
        )
    else:
        # Another file had come to this path meanwhile, and a copy was kept. The next plan sees it.
        return set()
    return _put(synced, noted) | _replace(synced, old.id, result.id)
