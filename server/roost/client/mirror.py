"""What the server has, as far as is known here."""

from datetime import datetime
from typing import Any

from roost.client.server import Server
from roost.client.state import State
from roost.client.tree import Node, without


class Mirror:
    """Follows a workspace by its changes, which are kept, so that a start asks for what is new."""

    def __init__(self, server: Server, workspace_id: str, state: State) -> None:
        self._server = server
        self._workspace_id = workspace_id
        self._state = state
        self._nodes = state.remote()
        self._cursor = int(state.get("cursor") or 0)

    @property
    def cursor(self) -> int:
        """The offset of workspace:<id> up to which it knows."""
        return self._cursor

    async def refresh(self) -> dict[str, Node]:
        """Asks for what has changed; gives the tree, each of whose nodes hangs on the root."""
        if await self._follow(self._cursor) and self._cursor:
            # A folder came back that was deleted before this device had heard of it. What is in it
            # did not change, and is not among the changes.
            await self._follow(0)
        # What is in a deleted folder is not deleted itself.
        return without(self._nodes, ())

    async def _follow(self, cursor: int) -> bool:
        """Whether a folder came that is older than what is known."""
        changed: set[str] = set()
        came_back = False
        since = cursor
        async for row in self._server.changes(self._workspace_id, since):
            key = row["id"]
            cursor = max(cursor, row["change_seq"])
            changed.add(key)
            if row["deleted_at"] is not None:
                self._nodes.pop(key, None)
                continue
            if (
                since
                and row["kind"] == "folder"
                and key not in self._nodes
                and row["created_at"] != row["updated_at"]
            ):
                came_back = True
            self._nodes[key] = node_of(row)
        self._cursor = max(cursor, self._cursor)
        if changed:
            self._state.note_remote(self._nodes, changed, str(self._cursor))
        return came_back


def node_of(row: dict[str, Any]) -> Node:
    """A node of a row of the server."""
    folder = row["kind"] == "folder"
    modified = row.get("modified_at")
    return Node(
        row["id"],
        row["parent_id"],
        row["name"],
        folder,
        "" if folder else row["hash"],
        0 if folder else row["size"],
        (row.get("metadata") or {}).get("executable") is True,
        row["version"],
        None,
        int(datetime.fromisoformat(modified).timestamp() * 1e6) * 1000 if modified else 0,
    )
