"""People with two devices each, online and offline, whatever becomes of what they send: after quiet
all devices have what the server has, each operation has taken effect once, and a second sync moves
nothing.

A run has other histories each time. One that fails is made as short as possible and printed, with
the seed of the run: `pytest tests/test_sync_devices.py --hypothesis-seed=<seed>` repeats the run,
as far as what happens at the same time comes out alike, and `@example([...])` above `lives` repeats
what was printed. ROOST_TEST_EXAMPLES=2000 makes a long run.
"""

import asyncio
import os
import random
import re
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from roost.database.embedded import EmbeddedPostgres
from tests.faults.servers import Server
from tests.relaying import SECRET, Database
from tests.serving import Answer, Client
from tests.support import SUMMARY, connect, migrated_database
from tests.sync_histories import (
    POLICIES,
    Acknowledge,
    Call,
    Cut,
    Kill,
    Pull,
    Push,
    Queue,
    Together,
    arguments,
    histories,
    histories_with_a_kill,
)
from tests.syncing import JSON, SyncedDevice, is_in_step

# Histories of a run, and one for each of five in which the server is killed.
EXAMPLES = int(os.environ.get("ROOST_TEST_EXAMPLES", "25"))

# Each person has a phone and a laptop.
DEVICES_EACH = 2

# After so many rounds everybody has everything: an acknowledgement is a change to others, once.
ROUNDS = 6

# Answers that say nothing of what was done: of a server that is away, or that lost its database.
UNKNOWN = {408, 429, 500, 502, 503, 504}

# Operations whose result says at which offset the topic tells of them, and the events that do.
TOLD_AT = {
    "send_message": "seq",
    "edit_message": "change_seq",
    "delete_message": "change_seq",
    "restore_message": "change_seq",
    "purge_message": "change_seq",
}
MESSAGE_EVENTS = ["message.created", "message.updated", "message.deleted", "message.restored"]


@dataclass
class Device:
    """
    What somebody has in hand: what it has pulled, and what it has done.

    operations -- all that it ever did offline, in order; the id of the first is 1
    told -- what it was told of each first, by id
    done -- those of which it was told that they were taken at that moment
    edited -- the version that its last edit of a message is based on
    made, made_conversations -- what its operations make, which the server may not know yet
    """

    synced: SyncedDevice
    operations: list[JSON] = field(default_factory=list)
    told: dict[int, JSON] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    edited: dict[str, int] = field(default_factory=dict)
    made: list[JSON] = field(default_factory=list)
    made_conversations: list[str] = field(default_factory=list)
    pulling: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def client(self) -> Client:
        return self.synced.client

    def conversations(self) -> list[str]:
        pulled = [
            key
            for scope in self.synced.scopes.values()
            for kind, key in scope.things
            if kind == "conversation"
        ]
        return [*pulled, *(key for key in self.made_conversations if key not in pulled)]

    def messages(self) -> list[JSON]:
        pulled = [
            scope.messages()[seq]
            for _, scope in sorted(self.synced.scopes.items())
            for seq in sorted(scope.messages())
        ]
        known = {message["id"] for message in pulled}
        return [*pulled, *(message for message in self.made if message["id"] not in known)]

    def untold(self) -> list[JSON]:
        return [one for one in self.operations if one["id"] not in self.told]

    def hear(self, answers: list[JSON]) -> None:
        """Takes in what the server says of operations, in whichever order it says so."""
        for answer in answers:
            assert answer["code"] != "RO301", answer
            if answer["code"] == "RO307":
                missing = re.fullmatch(r"Missing: (\d+)", answer["details"])
                assert missing is not None
                assert int(missing[1]) < answer["id"]
                continue
            again = answer["outcome"] == "duplicate"
            said = {
                "outcome": answer["first_outcome"] if again else answer["outcome"],
                "code": answer["code"],
                "conflict_id": answer["conflict_id"],
            }
            assert self.told.setdefault(answer["id"], said) == said, answer
            if not again:
                assert answer["id"] not in self.done, answer
                self.done.add(answer["id"])


class World:
    """People and what they have, in a database and on a server that outlive them.

    calls -- direct ones that were answered: the function and the result
    has_unknown -- whether some were not, which may have been done or not
    """

    def __init__(self, server: Server, database: Database, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.database = database
        self.http = http
        self.devices: list[Device] = []
        self.calls: list[tuple[str, JSON]] = []
        self.has_unknown = False
        self._tokens = 0

    async def populate(self, number_of_people: int) -> None:
        for _ in range(number_of_people):
            person = await self.database.person()
            second = replace(person, device_id=str(uuid.uuid4()), session_id=str(uuid.uuid4()))
            await self.database.run(
                "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)",
                second.device_id,
                second.user_id,
            )
            await self.database.session(second)
            for one in (person, second):
                client = Client(self.server.url, self.http, one.token(), one.user_id, one.device_id)
                self.devices.append(Device(SyncedDevice(client)))
        conversation_id = await self.devices[0].client.open_conversation(
            *(device.client for device in self.devices[DEVICES_EACH::DEVICES_EACH])
        )
        for number, device in enumerate(self.devices):
            sent = await device.client.ask(
                "send_message", conversation_id=conversation_id, content={"text": f"first {number}"}
            )
            self.calls.append(("send_message", sent))
        for device in self.devices:
            await device.synced.catch_up()

    # --- steps ----------------------------------------------------------------------------------

    async def live(self, history: list[Any]) -> None:
        for step in history:
            await self.take(step)
        await self.come_to_rest()

    async def take(self, step: Any) -> None:
        match step:
            case Together(steps):
                async with asyncio.TaskGroup() as group:
                    for one in steps:
                        group.create_task(self.take(one))
            case Queue():
                self._queue(self.devices[step.device], step)
            case Call():
                await self._call(self.devices[step.device], step)
            case Push(number, fate):
                await self._push(self.devices[number], fate)
            case Pull(number, limit, fate):
                device = self.devices[number]
                async with device.pulling:
                    await self._pull(device.synced, limit, fate)
            case Acknowledge(number, fate):
                device = self.devices[number]
                async with device.pulling:
                    await self._acknowledge(device.synced, fate)
            case Cut(number, after):
                await self._push_until(self.devices[number], after, self._cut)
            case Kill(number, after):
                await self._push_until(self.devices[number], after, self._kill)

    def _arguments(self, device: Device, step: Queue | Call, fresh_id: str) -> JSON | None:
        self._tokens += 1
        return arguments(
            step.kind,
            step.first,
            step.second,
            token=f"t{self._tokens}",
            fresh_id=fresh_id,
            conversations=device.conversations(),
            messages=device.messages(),
            others=sorted({one.client.user_id for one in self.devices} - {device.client.user_id}),
        )

    def _queue(self, device: Device, step: Queue) -> None:
        fresh_id = str(uuid.uuid4())
        args = self._arguments(device, step, fresh_id)
        if args is None:
            return
        operation: JSON = {"id": len(device.operations) + 1, "kind": step.kind, "args": args}
        policy = POLICIES[step.second % len(POLICIES)]
        if step.kind in ("edit_message", "delete_message"):
            message = next(one for one in device.messages() if one["id"] == args["message_id"])
            # Of an edit of one's own edit: the version after that which it was based on.
            version = max(message["version"], device.edited.get(message["id"], 0) + 1)
            if step.first != 5:
                operation["base_version"] = version
            if step.kind == "edit_message":
                device.edited[message["id"]] = version
        if step.kind == "update_conversation" and "title" in args and step.first % 2:
            operation["base"] = {"title": "Plans"}
        if policy is not None and step.kind in (
            "edit_message",
            "delete_message",
            "update_conversation",
        ):
            operation["policy"] = policy
        device.operations.append(operation)
        if step.kind == "create_conversation":
            device.made_conversations.append(fresh_id)
        if step.kind == "send_message" and "id" in args:
            device.made.append(
                {"id": fresh_id, "conversation_id": args["conversation_id"], "version": 1}
            )

    async def _call(self, device: Device, step: Call) -> None:
        args = self._arguments(device, step, str(uuid.uuid4()))
        if args is None:
            return
        if step.kind == "edit_message":
            message = next(one for one in device.messages() if one["id"] == args["message_id"])
            args["based_on_version"] = message["version"]
        answer = await device.client.call(step.kind, **args)
        if answer.status == 200:
            self.calls.append((step.kind, answer.body))
        elif answer.status in UNKNOWN:
            self.has_unknown = True
        else:
            assert 400 <= answer.status < 500, answer

    async def _send(self, device: Device, operations: list[JSON]) -> None:
        """Sends operations and hears the answer, if there is one."""
        try:
            answer: Answer = await device.client.call("push_operations", operations=operations)
        except (aiohttp.ClientError, OSError):
            return
        if answer.status not in UNKNOWN:
            assert answer.status == 200, answer
            device.hear(answer.body)

    async def _push(self, device: Device, fate: str) -> None:
        waiting = device.untold()
        middle = len(waiting) // 2
        match fate:
            case "lost":
                pass
            case "unanswered":
                await device.client.call("push_operations", operations=waiting)
            case "twice":
                await self._send(device, waiting)
                await self._send(device, waiting)
            case "twice at once":
                await asyncio.gather(self._send(device, waiting), self._send(device, waiting))
            case "later first":
                await self._send(device, waiting[middle:])
                await self._send(device, waiting[:middle])
                await self._send(device, waiting[middle:])
            case "backwards":
                await self._send(device, waiting[::-1])
            case "old again":
                await self._send(device, device.operations[: len(device.operations) - middle])
            case _:
                await self._send(device, waiting)

    async def _pull(self, device: SyncedDevice, limit: int, fate: str) -> None:
        before = device.copy()
        try:
            page = await device.pull(limit=limit)
        except AssertionError as error:
            if not self._is_away(error):
                raise
            return
        match fate:
            case "lost":
                device.scopes, device.cursor = before.scopes, before.cursor
            case "twice":
                device.take_in(page["changes"])
            case "cursor lost":
                device.lose_cursor()
            case "acknowledged":
                await self._acknowledge(device, "answered")

    async def _acknowledge(self, device: SyncedDevice, fate: str) -> None:
        if device.cursor is None or fate == "lost":
            return
        answer = await device.client.call("ack_changes", cursor=device.cursor)
        if fate == "answered" and answer.status == 200:
            device.cursor = None

    @staticmethod
    def _is_away(error: AssertionError) -> bool:
        answer = error.args[0] if error.args else None
        return isinstance(answer, Answer) and answer.status in UNKNOWN

    async def _push_until(
        self, device: Device, after: int, breaks: Callable[[], Awaitable[None]]
    ) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(device, device.untold()))
            await asyncio.sleep(after / 1000)
            await breaks()

    async def _cut(self) -> None:
        await self.database.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    async def _kill(self) -> None:
        await self.server.kill()
        await self.server.start()

    # --- quiet ----------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        async with asyncio.timeout(60):
            for device in self.devices:
                while device.untold():
                    await self._send(device, device.untold())
            await self._serves_again()
            for _ in range(ROUNDS):
                if not sum([await self._catches_up(device.synced) for device in self.devices]):
                    break
            else:
                raise AssertionError("something always changes")
        for device in self.devices:
            await is_in_step(device.synced)
        await self._took_effect_once()
        before = await self._everything()
        for device in self.devices:
            if device.operations:
                answers = await device.client.ask("push_operations", operations=device.operations)
                assert {answer["outcome"] for answer in answers} == {"duplicate"}, answers
                device.hear(answers)
            (page,) = await device.synced.catch_up()
            assert page["changes"] == []
        assert await self._everything() == before

    async def _serves_again(self) -> None:
        """After connections were cut: as often in a row as there are connections."""
        served = 0
        while served < 10:
            answer = await self.devices[0].client.call("get_me")
            served = served + 1 if answer.status == 200 else 0

    async def _catches_up(self, device: SyncedDevice) -> int:
        if device.cursor is not None:
            await device.acknowledge()
        return sum(len(page["changes"]) for page in await device.catch_up(limit=50))

    async def _topics(self) -> list[str]:
        rows = await self.database.run(
            "SELECT DISTINCT unnest(ARRAY['user:' || user_id, 'conversation:' || conversation_id])"
            " FROM roost.conversation_participants WHERE user_id = ANY (%s::uuid[])",
            [device.client.user_id for device in self.devices],
        )
        return [topic for (topic,) in rows]

    async def _everything(self) -> list[tuple[Any, ...]]:
        """What a sync may write, of the devices and conversations of this world."""
        ids = [device.client.device_id for device in self.devices]
        return await self.database.run(
            "SELECT 'operation', device_id::text, operation_id, outcome::text, applied_at"
            " FROM roost.sync_operations WHERE device_id = ANY (%s::uuid[])"
            " UNION ALL SELECT 'scope', device_id::text || scope, position, to_seq::text,"
            " updated_at FROM roost.sync_scopes WHERE device_id = ANY (%s::uuid[])"
            " UNION ALL SELECT 'last', device_id::text, last_operation_id, '', NULL"
            " FROM roost.sync_devices WHERE device_id = ANY (%s::uuid[])"
            " UNION ALL SELECT 'event', topic, event_offset, event, NULL FROM realtime.events"
            " WHERE topic = ANY (%s) ORDER BY 1, 2, 3",
            ids,
            ids,
            ids,
            await self._topics(),
        )

    async def _took_effect_once(self) -> None:
        """Each operation is recorded once, as the device was told first, and whatever topics tell
        of is the effect of one of them, or of a call.
        """
        effects = list(self.calls)
        sends: dict[str, bool] = {}
        for device in self.devices:
            listed = await device.client.ask("list_sync_operations", page_size=200)
            assert [one["id"] for one in listed] == list(range(len(device.operations), 0, -1))
            for one in listed:
                told = device.told[one["id"]]
                for name in ("outcome", "code", "conflict_id"):
                    assert one[name] == told[name], (one, told)
                operation = device.operations[one["id"] - 1]
                assert one["kind"] == operation["kind"]
                if one["outcome"] == "applied":
                    effects.append((one["kind"], one["result"]))
                if one["kind"] == "send_message":
                    token = operation["args"]["content"]["text"]
                    sends[token] = one["outcome"] == "applied"
        if not self.has_unknown:
            await self._are_all(effects)

        texts = await self.database.run(
            "SELECT content ->> 'text' FROM roost.messages"
            " WHERE version = 1 AND content IS NOT NULL AND device_id = ANY (%s::uuid[])",
            [device.client.device_id for device in self.devices],
        )
        assert len(texts) == len(set(texts)), texts
        assert all(sends.get(text, True) for (text,) in texts)

    async def _are_all(self, effects: list[tuple[str, JSON]]) -> None:
        told: dict[str, list[tuple[str, int]]] = {kind: [] for kind in TOLD_AT}
        for kind, result in effects:
            if kind in TOLD_AT:
                topic = f"conversation:{result['conversation_id']}"
                told[kind].append((topic, result[TOLD_AT[kind]]))
        events = await self.database.run(
            "SELECT topic, event_offset, event FROM realtime.events"
            " WHERE topic = ANY (%s) AND event = ANY (%s)",
            await self._topics(),
            MESSAGE_EVENTS,
        )
        created = [(topic, offset) for topic, offset, event in events if event == "message.created"]
        assert sorted(told["send_message"]) == sorted(created)
        edits = told.pop("edit_message")
        # An edit that brings back a deleted message restores it first, and answers the edit.
        changed = {
            (topic, offset)
            for topic, offset, event in events
            if event != "message.created"
            and not (event == "message.restored" and (topic, offset + 1) in edits)
        }
        assert len(edits) == len(set(edits)), edits
        assert set(edits) <= changed
        del told["send_message"]
        # To delete what is deleted changes nothing, and answers the change before it.
        assert changed <= set(edits).union(*told.values())


@pytest.fixture(scope="module")
def places(postgres: EmbeddedPostgres) -> Iterator[tuple[str, Path]]:
    with migrated_database(postgres) as database, tempfile.TemporaryDirectory() as folder:
        yield database, Path(folder)


@pytest.fixture(scope="module")
def run(places: tuple[str, Path]) -> Iterator[Callable[[int, list[Any]], None]]:
    """Lives through a history, with new people; on one server, as long as that is not killed."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        database, folder = places
        server = Server("sync", database, folder, ROOST_JWT_SECRET=SECRET)
        runner.run(server.start())
        stack.callback(lambda: runner.run(server.close()))

        async def live(people: int, history: list[Any]) -> None:
            if server.gone.is_set():
                await server.start()
            async with await connect(database) as connection, aiohttp.ClientSession() as http:
                world = World(server, Database(connection), http)
                await world.populate(people)
                await world.live(history)

        yield lambda people, history: runner.run(live(people, history))


# As long as it takes to make a history that fails short.
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("people", "strategy", "examples"),
    [
        pytest.param(2, histories(2 * DEVICES_EACH), EXAMPLES, id="two people"),
        pytest.param(3, histories(3 * DEVICES_EACH), EXAMPLES // 5, id="three people"),
        pytest.param(
            2, histories_with_a_kill(2 * DEVICES_EACH), EXAMPLES // 5, id="killed servers"
        ),
    ],
)
def test_after_quiet_all_devices_are_alike(
    run: Callable[[int, list[Any]], None],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    people: int,
    strategy: st.SearchStrategy[list[Any]],
    examples: int,
) -> None:
    given_seed = request.config.getoption("--hypothesis-seed")
    chosen = random.randrange(1_000_000) if given_seed is None else int(given_seed)
    record_property(SUMMARY, f"seed {chosen}, {examples} histories")
    print(f"seed {chosen}")

    @seed(chosen)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def lives(history: list[Any]) -> None:
        run(people, history)

    lives()
