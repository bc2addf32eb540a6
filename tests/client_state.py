"""What a client keeps of a conversation, and how events change it (docs/reference/events.md).

An event counts for a thing only when its offset is above that which the thing was read at: a
message's change_seq, the conversation's last_seq. So what was read while events were already coming
is not counted twice.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]

SHARED = (
    "user_id",
    "title",
    "workspace_path",
    "metadata",
    "search_language",
    "retention_days",
    "archived_at",
    "deleted_at",
    "updated_at",
)


@dataclass
class ClientState:
    """
    As one participant sees a conversation.

    conversation -- as get_conversation answers it
    messages -- by id, as list_messages answers them
    participants -- by user id, as list_participants answers them
    """

    user_id: str
    conversation: JSON
    messages: dict[str, JSON] = field(default_factory=dict)
    participants: dict[str, JSON] = field(default_factory=dict)

    def copy(self) -> "ClientState":
        return copy.deepcopy(self)

    def apply(self, offset: int, event: str, payload: JSON) -> None:
        """Takes in the next event of the topic conversation:<id>."""
        is_new = offset > self.conversation["last_seq"]
        match event:
            case "message.created":
                self._message_created(offset, payload, is_new=is_new)
            case "message.updated" | "message.deleted" | "message.restored":
                self._put_message(offset, payload)
            case "message.expired":
                self._expire(payload["up_to_seq"])
                if is_new:
                    unread = min(self.conversation["unread_count"], payload["left_count"])
                    self.conversation["unread_count"] = unread
            case "reaction":
                known = self.messages.get(payload["message_id"])
                if known is not None and offset > known["change_seq"]:
                    known |= {"reactions": payload["reactions"], "change_seq": offset}
            case "receipt":
                self._receipt(payload, is_new=is_new)
            case "participant.added" | "participant.updated":
                self._put_participant(payload)
            case "participant.removed":
                self.participants.pop(payload["user_id"], None)
            case "hidden":
                pass
            case _ if event.startswith("conversation."):
                self.conversation |= {name: payload[name] for name in SHARED}
            case _:
                raise AssertionError(f"nobody said what {event} means")
        self.conversation["last_seq"] = max(self.conversation["last_seq"], offset)
        self._show_last_message()

    def _message_created(self, offset: int, payload: JSON, *, is_new: bool) -> None:
        root = self.messages.get(payload["root_message_id"])
        if root is not None and offset > root["change_seq"]:
            root |= {"reply_count": root["reply_count"] + 1, "change_seq": offset}
        self._put_message(offset, payload)
        # Whoever sends has read what came before.
        author = self.participants.get(payload["user_id"])
        if author is not None:
            self._move(author, payload["seq"], payload["seq"])
        if is_new:
            mine = payload["user_id"] == self.user_id
            if mine:
                self._move(self.conversation, payload["seq"], payload["seq"])
            self.conversation["last_activity"] = payload["created_at"]
            self.conversation["unread_count"] = 0 if mine else self.conversation["unread_count"] + 1

    def _put_message(self, offset: int, payload: JSON) -> None:
        known = self.messages.get(payload["id"])
        if known is None or offset > known["change_seq"]:
            self.messages[payload["id"]] = copy.deepcopy(payload)

    def _expire(self, up_to_seq: int) -> None:
        gone = {key for key, message in self.messages.items() if message["seq"] <= up_to_seq}
        for key in gone:
            del self.messages[key]
        for message in self.messages.values():
            for what in ("parent", "root"):
                if (message[f"{what}_seq"] or up_to_seq + 1) <= up_to_seq:
                    message[f"{what}_message_id"] = None

    def _receipt(self, payload: JSON, *, is_new: bool) -> None:
        reader = self.participants.get(payload["user_id"])
        if reader is not None:
            self._move(reader, payload["last_read_seq"], payload["last_delivered_seq"])
        if payload["user_id"] == self.user_id and is_new:
            self._move(self.conversation, payload["last_read_seq"], payload["last_delivered_seq"])
            self.conversation["unread_count"] = payload["unread_count"]

    def _put_participant(self, payload: JSON) -> None:
        known = self.participants.get(payload["user_id"])
        self.participants[payload["user_id"]] = copy.deepcopy(payload)
        if known is not None:
            self._move(
                self.participants[payload["user_id"]],
                known["last_read_seq"],
                known["last_delivered_seq"],
            )
        if payload["user_id"] == self.user_id:
            self.conversation["role"] = payload["role"]

    @staticmethod
    def _move(markers: JSON, read: int, delivered: int) -> None:
        """Markers only move forward."""
        markers["last_read_seq"] = max(markers["last_read_seq"], read)
        markers["last_delivered_seq"] = max(markers["last_delivered_seq"], delivered)

    def _show_last_message(self) -> None:
        newest = max(self.messages.values(), key=lambda message: message["seq"], default=None)
        self.conversation["last_message"] = copy.deepcopy(newest)
