"""Which open connections act for whom: by session, so that they can be closed when it ends, and by
person."""

from collections.abc import Hashable, ItemsView, KeysView
from typing import Generic, TypeVar

SocketT = TypeVar("SocketT", bound=Hashable)


class Owners(Generic[SocketT]):
    """Connections by the id of their session, or of their person.

    version -- is another one after every change
    """

    def __init__(self) -> None:
        self.version = 0
        self._sockets: dict[str, set[SocketT]] = {}

    def replace(self, socket: SocketT, before: set[str], after: set[str]) -> set[str]:
        """From now on a connection belongs to these, and no longer to those. Returns these."""
        self.version += before != after
        for owner_id in before - after:
            sockets = self._sockets[owner_id]
            sockets.discard(socket)
            if not sockets:
                del self._sockets[owner_id]
        for owner_id in after - before:
            self._sockets.setdefault(owner_id, set()).add(socket)
        return after

    def sockets(self, owner_id: str) -> list[SocketT]:
        """The open connections of one."""
        return list(self._sockets.get(owner_id, ()))

    def ids(self) -> list[str]:
        """Those who have open connections."""
        return list(self._sockets)

    def keys(self) -> KeysView[str]:
        """The same, as it changes."""
        return self._sockets.keys()

    def items(self) -> ItemsView[str, set[SocketT]]:
        """All with their open connections, as they change. None is without one."""
        return self._sockets.items()
