"""A device that keeps its state by pull_changes, and asserts that each page can be taken in as it
comes (docs/reference/sync.md); and what a server has, read anew.
"""

import copy
import hashlib
from dataclasses import dataclass, field
from typing import Any

from tests.client_state import ClientState
from tests.serving import Client

JSON = dict[str, Any]
Thing = tuple[str, str]


@dataclass
class Scope:
    """What a device has of a scope.

    position -- from where it may listen; None until it has come that far
    things -- by kind and id: the offset of its newest change, and what it is
    """

    position: int | None = None
    from_seq: int | None = None
    is_complete: bool = False
    things: dict[Thing, tuple[int, JSON]] = field(default_factory=dict)

    def messages(self) -> dict[int, JSON]:
        """By seq."""
        return {
            value["seq"]: value
            for (kind, _), (_, value) in self.things.items()
            if kind == "message"
        }


@dataclass
class SyncedDevice:
    """
    client -- signed in, on the device
    cursor -- of the last page; None when that is acknowledged
    is_lost -- it has lost its cursor, and so dropped what it had: all is to come anew
    """

    client: Client
    scopes: dict[str, Scope] = field(default_factory=dict)
    cursor: str | None = None
    is_lost: bool = False

    def copy(self) -> "SyncedDevice":
        return SyncedDevice(self.client, copy.deepcopy(self.scopes), self.cursor, self.is_lost)

    def without_messages_before(self, scope: str, seq: int) -> "SyncedDevice":
        """A copy that has of a scope only the messages from `seq` on."""
        device = self.copy()
        held = device.scopes[scope]
        held.things = {
            thing: entry
            for thing, entry in held.things.items()
            if thing[0] != "message" or entry[1]["seq"] >= seq
        }
        return device

    def lose_cursor(self) -> None:
        self.scopes, self.cursor, self.is_lost = {}, None, True

    async def pull(self, **arguments: Any) -> JSON:
        """Takes in one page."""
        if self.is_lost:
            await self.client.ask("reset_changes")
            self.is_lost = False
        if self.cursor is not None:
            arguments["cursor"] = self.cursor
        page: JSON = await self.client.ask("pull_changes", **arguments)
        self.take_in(page["changes"])
        self.cursor = page["cursor"]
        return page

    async def acknowledge(self) -> int:
        """The number of scopes that moved."""
        moved = await self.client.ask("ack_changes", cursor=self.cursor)
        self.cursor = None
        return int(moved)

    async def catch_up(self, *, acknowledges: bool = True, **arguments: Any) -> list[JSON]:
        """All pages until there are no more, and until nothing comes of acknowledging them."""
        pages = []
        while True:
            page = await self.pull(**arguments)
            pages.append(page)
            moved = await self.acknowledge() if acknowledges else 0
            if not (page["has_more"] or moved):
                return pages

    def take_in(self, changes: list[JSON]) -> None:
        for change in changes:
            scope = change["scope"]
            match change["kind"], change["op"]:
                case "scope", "remove":
                    self.scopes.pop(scope, None)
                case "scope", "reset":
                    self.scopes[scope] = Scope()
                case "scope", "put":
                    held = self.scopes[scope] if scope in self.scopes else Scope()
                    self.scopes[scope] = held
                    assert held.position is None or change["offset"] >= held.position
                    held.position = change["offset"]
                    held.from_seq = change["value"]["from_seq"]
                    held.is_complete = change["value"]["is_complete"]
                    # Of answers that were not acknowledged: what becomes of it is not told.
                    for thing, (_, value) in list(held.things.items()):
                        if thing[0] == "message" and value["seq"] < change["value"]["from_seq"]:
                            del held.things[thing]
                case "message", "remove_up_to":
                    self._remove_up_to(scope, change["seq"])
                case kind, "remove":
                    self.scopes[scope].things.pop((kind, change["id"]), None)
                case kind, "put":
                    self._put(change, kind)
                case _:
                    raise AssertionError(change)

    def _put(self, change: JSON, kind: str) -> None:
        held = self.scopes.setdefault(change["scope"], Scope())
        if kind == "message":
            # The conversation and, but for what is older than all that it has, the question first.
            assert any(known == "conversation" for known, _ in held.things), change
            question = change["value"]["parent_message_id"]
            if question is not None and ("message", question) not in held.things:
                assert change["value"]["parent_seq"] < min(held.messages(), default=1 << 60)
        if kind in ("workspace_member", "file"):
            assert any(known == "workspace" for known, _ in held.things), change
        thing = (kind, change["id"])
        if thing in held.things:
            assert change["offset"] >= held.things[thing][0], change
        held.things[thing] = (change["offset"], change["value"])

    def _remove_up_to(self, scope: str, seq: int) -> None:
        things = self.scopes[scope].things
        for thing, (_, value) in list(things.items()):
            if thing[0] == "message":
                if value["seq"] <= seq:
                    del things[thing]
                    continue
                for what in ("parent", "root"):
                    if (value[f"{what}_seq"] or seq + 1) <= seq:
                        value[f"{what}_message_id"] = None

    def state(self) -> dict[str, dict[Thing, JSON]]:
        """By scope, what it has of everything, as server_state answers it."""
        return {
            name: {
                thing: comparable(thing[0], value)
                for thing, (_, value) in held.things.items()
                if is_seen(held, thing)
            }
            for name, held in self.scopes.items()
        }

    def buckets(self, scope: str) -> dict[str, list[int]]:
        """What verify_scope takes."""
        held = self.scopes[scope]
        sums: dict[str, list[int]] = {"others": [0, 0]}
        assert held.position is not None
        assert held.from_seq is not None
        if scope.startswith("conversation:"):
            for number in range(held.from_seq // 1000, held.position // 1000 + 1):
                sums[str(number)] = [0, 0]
        if scope.startswith("workspace:"):
            for number in range(held.position // 1000 + 1):
                sums[str(number)] = [0, 0]
        for (kind, key), (offset, value) in held.things.items():
            if kind != "conversation":
                place = {"message": value.get("seq"), "file": offset}.get(kind)
                bucket = sums["others" if place is None else str(place // 1000)]
                bucket[0] += 1
                bucket[1] = (bucket[1] + checksum(kind, key, offset)) % 2**32
        return sums

    async def verify(self, scope: str) -> JSON:
        held = self.scopes[scope]
        answer: JSON = await self.client.ask(
            "verify_scope",
            scope=scope,
            position=held.position,
            from_seq=held.from_seq,
            buckets=self.buckets(scope),
        )
        return answer


@dataclass
class LiveDevice:
    """A device that goes on live from what it has pulled: it takes in every event, in order, and
    drops a scope with the event that ends its person's right.

    conversations -- by scope, what it has of each
    things -- by scope, the offset of the newest change of a thing, and, but of those of
        conversations, what it is
    positions -- by scope, up to where it has listened
    """

    client: Client
    conversations: dict[str, ClientState] = field(default_factory=dict)
    things: dict[str, dict[Thing, tuple[int, JSON]]] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    from_seqs: dict[str, int] = field(default_factory=dict)

    @classmethod
    def going_on(cls, device: SyncedDevice) -> "LiveDevice":
        live = cls(device.client)
        for scope, held in device.scopes.items():
            if held.position is not None:
                live.adopt(scope, held)
        return live

    def adopt(self, scope: str, held: Scope) -> None:
        """Begins to listen behind what was pulled."""
        assert held.position is not None
        assert held.from_seq is not None
        of_kind: dict[str, dict[str, JSON]] = {"message": {}, "participant": {}}
        for (kind, key), (_, value) in held.things.items():
            of_kind.setdefault(kind, {})[key] = copy.deepcopy(value)
        self.things[scope] = copy.deepcopy(held.things)
        self.positions[scope] = held.position
        self.from_seqs[scope] = held.from_seq
        if scope.startswith("conversation:"):
            (conversation,) = of_kind["conversation"].values()
            self.conversations[scope] = ClientState(
                self.client.user_id, conversation, of_kind["message"], of_kind["participant"]
            )

    def drop(self, scope: str) -> None:
        for held in (self.conversations, self.things, self.positions, self.from_seqs):
            held.pop(scope, None)

    def hear(self, scope: str, offset: int, event: str, payload: JSON) -> None:
        assert offset == self.positions[scope] + 1
        self.positions[scope] = offset
        if event == "conversation.reset":
            self.drop(scope)
        elif scope in self.conversations:
            self.conversations[scope].apply(offset, event, payload)
            if event in ("receipt", "message.created") or event.startswith("participant."):
                self._changed(scope, ("participant", payload["user_id"]), offset, {})
            if event == "message.expired":
                self.from_seqs[scope] = max(self.from_seqs[scope], payload["up_to_seq"] + 1)
        elif event == "account.updated":
            self._changed(scope, ("account", payload["id"]), offset, payload)
        elif event == "device.removed":
            self.things[scope].pop(("device", payload["device_id"]), None)
        elif event == "workspace_member.removed":
            self.things[scope].pop(("workspace_member", payload["user_id"]), None)
        elif event.startswith("device."):
            told = {name: value for name, value in payload.items() if name != "device_id"}
            self._changed(scope, ("device", payload["device_id"]), offset, told)

    def _changed(self, scope: str, thing: Thing, offset: int, told: JSON) -> None:
        known, value = self.things[scope].get(thing, (0, {}))
        if offset > known:
            self.things[scope][thing] = (offset, value | told)

    def as_pulled(self) -> SyncedDevice:
        """What it would have, had it pulled instead."""
        device = SyncedDevice(self.client)
        for scope, things in self.things.items():
            held = Scope(self.positions[scope], self.from_seqs[scope])
            if scope in self.conversations:
                state = self.conversations[scope]
                held.things["conversation", state.conversation["id"]] = (
                    self.positions[scope],
                    state.conversation,
                )
                for key, message in state.messages.items():
                    offset = max(message["change_seq"], message["seq"])
                    held.things["message", key] = (offset, message)
                for key, participant in state.participants.items():
                    held.things["participant", key] = (things["participant", key][0], participant)
            else:
                held.things = things
            device.scopes[scope] = held
        return device


def checksum(kind: str, key: str, offset: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{kind}:{key}:{offset}".encode()).digest()[:4])


def is_seen(held: Scope, thing: Thing) -> bool:
    """Not so a file in a folder that is deleted."""
    if thing[0] != "file":
        return True
    if thing not in held.things:
        return False
    parent = held.things[thing][1]["parent_id"]
    return parent is None or is_seen(held, ("file", parent))


def comparable(kind: str, value: JSON) -> JSON:
    """Without what moves all the time, which is no change."""
    moving = {
        "account": {"last_login", "updated_at"},
        "device": {"last_seen", "updated_at"},
        "workspace": {"last_accessed"},
        "file": {"path"},
    }.get(kind, set())
    return {name: part for name, part in value.items() if name not in moving}


async def server_state(client: Client) -> dict[str, dict[Thing, JSON]]:
    """Everything that a person may read, by the calls that list it."""
    account = await client.ask("get_me")
    things: dict[Thing, JSON] = {("account", account["id"]): account}
    for device in await client.ask("list_devices", page_size=200):
        things["device", device["id"]] = device
    scopes = {f"user:{client.user_id}": things}
    for state in ("active", "archived"):
        for conversation in await client.ask("list_conversations", page_size=200, state=state):
            key = conversation["id"]
            things = {("conversation", key): conversation}
            for participant in await client.ask(
                "list_participants", conversation_id=key, page_size=200
            ):
                things["participant", participant["user_id"]] = participant
            after = 0
            while page := await client.ask(
                "list_messages", conversation_id=key, after_seq=after, page_size=200
            ):
                after = page[-1]["seq"]
                things |= {("message", message["id"]): message for message in page}
            scopes[f"conversation:{key}"] = things
    for workspace in await client.ask("list_workspaces", page_size=200):
        key = workspace["id"]
        things = {("workspace", key): workspace}
        for member in await client.ask("list_workspace_members", workspace_id=key, page_size=200):
            things["workspace_member", member["user_id"]] = member
        since = 0
        while files := await client.ask(
            "list_files", workspace_id=key, changed_since=since, page_size=1000
        ):
            since = files[-1]["change_seq"]
            things |= {("file", file["id"]): file for file in files}
        scopes[f"workspace:{key}"] = things
    return {
        name: {thing: comparable(thing[0], value) for thing, value in things.items()}
        for name, things in scopes.items()
    }


async def is_in_step(device: SyncedDevice) -> None:
    """It has what the server has, a checksum says so too, and pulling again moves nothing."""
    held, there = device.state(), await server_state(device.client)
    assert set(held) == set(there), set(held) ^ set(there)
    for scope, things in there.items():
        assert held[scope].keys() == things.keys(), (scope, held[scope].keys() ^ things.keys())
        for thing, value in things.items():
            assert held[scope][thing] == value, (thing, held[scope][thing], value)
    for scope in device.scopes:
        verified = await device.verify(scope)
        assert verified["is_same"], verified
    page = await device.pull()
    assert (page["changes"], page["has_more"]) == ([], False), page
    assert await device.acknowledge() == 0
