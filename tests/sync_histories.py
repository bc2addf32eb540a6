"""What people do on several devices, as lists of steps that hypothesis makes, and shrinks."""

import itertools
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.syncing import JSON

# What is done to something that others may have changed meanwhile.
POLICIES = [None, None, "last_write_wins", "client_wins", "server_wins", "manual"]

KINDS = [
    *["send_message"] * 3,
    *["edit_message"] * 3,
    "delete_message",
    "restore_message",
    "add_reaction",
    "remove_reaction",
    "mark_read",
    "create_conversation",
    "update_conversation",
    "archive_conversation",
    "unarchive_conversation",
    "add_participant",
    "remove_participant",
    "leave_conversation",
    "update_me",
]

# Without what offline operations have, and with what they have not.
CALLS = [
    *KINDS,
    "purge_message",
    "delete_conversation",
    "restore_conversation",
    "register_device",
]

LIMITS = [1, 2, 3, 50]


@dataclass(frozen=True, slots=True)
class Queue:
    """A device does something while it is offline. first, second -- choose what it is done to"""

    device: int
    kind: str
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Call:
    """A device that is online does something."""

    device: int
    kind: str
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Push:
    """A device sends what it has not been told of. fate -- what becomes of that on its way"""

    device: int
    fate: str


@dataclass(frozen=True, slots=True)
class Pull:
    """A device asks for a page. fate -- what becomes of the page"""

    device: int
    limit: int
    fate: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A device acknowledges what it has pulled. fate -- what becomes of that on its way"""

    device: int
    fate: str


@dataclass(frozen=True, slots=True)
class Together:
    """Steps of several devices, or of one, at the same time."""

    steps: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """All connections of the server to the database are cut, so many milliseconds after a device
    has begun to push.
    """

    device: int
    after: int


@dataclass(frozen=True, slots=True)
class Kill:
    """The server is killed, so many milliseconds after a device has begun to push, and started
    again.
    """

    device: int
    after: int


def calls(devices: int) -> st.SearchStrategy[Call]:
    """What so many devices do online."""
    number = st.integers(0, 5)
    return st.builds(Call, st.integers(0, devices - 1), st.sampled_from(CALLS), number, number)


def long_lists(step: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Some 30 of them, that shrink to few: a single list without a least size is mostly short."""
    some = st.lists(step, max_size=10)
    return st.tuples(*[some] * 7).map(lambda parts: list(itertools.chain(*parts)))


def histories(devices: int) -> st.SearchStrategy[list[Any]]:
    """What so many devices do."""
    device = st.integers(0, devices - 1)
    number = st.integers(0, 5)
    call = calls(devices)
    queue = st.builds(Queue, device, st.sampled_from(KINDS), number, number)
    push = st.builds(
        Push,
        device,
        st.sampled_from(
            [
                "answered",
                "lost",
                "unanswered",
                "twice",
                "twice at once",
                "later first",
                "backwards",
                "old again",
            ]
        ),
    )
    pull = st.builds(
        Pull,
        device,
        st.sampled_from(LIMITS),
        st.sampled_from(["kept", "acknowledged", "lost", "twice", "cursor lost"]),
    )
    acknowledge = st.builds(
        Acknowledge, device, st.sampled_from(["answered", "lost", "unanswered"])
    )
    together = st.builds(
        Together, st.lists(st.one_of(call, push, pull), min_size=2, max_size=3).map(tuple)
    )
    cut = st.builds(Cut, device, number)
    # one_of gives each the same chance, however often it is named.
    weighted = [queue] * 8 + [call] * 3 + [push] * 4 + [pull] * 3 + [acknowledge, together, cut]
    return long_lists(st.sampled_from(weighted).flatmap(lambda step: step))


def histories_with_a_kill(devices: int) -> st.SearchStrategy[list[Any]]:
    """The same, and amid them the server is killed."""
    some = histories(devices)
    kill = st.builds(Kill, st.integers(0, devices - 1), st.integers(0, 5))
    return st.tuples(some, kill, some).map(lambda parts: [*parts[0], parts[1], *parts[2]])


def arguments(  # noqa: PLR0911, PLR0912  # one for each kind
    kind: str,
    first: int,
    second: int,
    *,
    token: str,
    fresh_id: str,
    conversations: list[str],
    messages: list[JSON],
    others: list[str],
) -> JSON | None:
    """
    The arguments of a call, or None where there is nothing yet to do it to.

    token -- in this history once, so that what has it is this one's
    fresh_id -- of what is made, which may be named when it is not there yet
    conversations, messages, others -- ids, messages and user ids that the device knows of
    """
    if kind == "update_me":
        return {"preferences": {token: True}}
    if kind == "register_device":
        return {"device_name": token, "device_type": "phone"}
    if kind == "create_conversation":
        return {"id": fresh_id, "title": token, "participants": others[: second % 3]}
    if not conversations:
        return None
    here = {"conversation_id": conversations[first % len(conversations)]}
    match kind:
        case "send_message":
            # One in two has no id: were it taken twice, there would be two messages.
            sent: JSON = {**here, "content": {"text": token}}
            if second % 2:
                sent["id"] = fresh_id
            answered = [
                one for one in messages if one["conversation_id"] == here["conversation_id"]
            ]
            if second >= 4 and answered:
                sent["parent_message_id"] = answered[first % len(answered)]["id"]
            return sent
        case "update_conversation":
            return {**here, "metadata": {token: True}} | ({"title": token} if second % 2 else {})
        case "mark_read":
            return {**here, "up_to_seq": first}
        case "add_participant" | "remove_participant":
            added = {"history": "from_now"} if kind == "add_participant" and second >= 3 else {}
            return {**here, "user_id": others[second % len(others)], **added}
        case _ if kind.endswith("_conversation"):
            return here
    if not messages:
        return None
    message = {"message_id": messages[first % len(messages)]["id"]}
    match kind:
        case "edit_message":
            return {**message, "content": {"text": token}}
        case "add_reaction" | "remove_reaction":
            # Few, so that somebody takes back what was given.
            return {**message, "reaction": "ab"[second % 2]}
    return message
