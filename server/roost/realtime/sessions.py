"""Which open sockets act for which session, so that they can be closed when it ends."""

from collections.abc import Hashable
from typing import Generic, TypeVar

SocketT = TypeVar("SocketT", bound=Hashable)


class Sessions(Generic[SocketT]):
    """Sockets by session id."""

    def __init__(self) -> None:
        self._sockets: dict[str, set[SocketT]] = {}

    def add(self, session_id: str, socket: SocketT) -> None:
        """From now on the socket belongs to the session; it may belong to several."""
        self._sockets.setdefault(session_id, set()).add(socket)

    def discard(self, session_id: str, socket: SocketT) -> None:
        """The socket no longer belongs to the session."""
        sockets = self._sockets.get(session_id)
        if sockets is not None:
            sockets.discard(socket)
            if not sockets:
                del self._sockets[session_id]

    def sockets(self, session_id: str) -> list[SocketT]:
        """The open sockets of a session."""
        return list(self._sockets.get(session_id, ()))

    def ids(self) -> list[str]:
        """The sessions that have open sockets."""
        return list(self._sockets)
