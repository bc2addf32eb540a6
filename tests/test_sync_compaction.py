"""A pull has each thing once, as it is now, and the log has all that ever happened: both lead to
the same state, from every checkpoint on.

A run has other histories each time; `pytest tests/test_sync_compaction.py --hypothesis-seed=<seed>`
repeats one that has failed, and `@example([...])` above `lives` what was printed. A long run:
ROOST_TEST_EXAMPLES=2000.
"""

import asyncio
import os
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from roost.database.embedded import EmbeddedPostgres
from tests.relaying import SECRET, Database
from tests.serving import Client, serving
from tests.support import SUMMARY, connect, migrated_database
from tests.sync_histories import LIMITS, Call, arguments, calls, long_lists
from tests.syncing import JSON, LiveDevice, SyncedDevice, server_state

PEOPLE = 2
EXAMPLES = int(os.environ.get("ROOST_TEST_EXAMPLES", "12"))

Event = tuple[int, str, JSON, str | None]
History = list[tuple[Call, int]]


@dataclass
class Watcher:
    """Somebody with one device that pulls after every operation, and one that goes on live.

    checkpoints -- what the first one had at the end of each page
    """

    client: Client
    pulling: SyncedDevice
    live: LiveDevice
    checkpoints: list[SyncedDevice] = field(default_factory=list)


class World:
    def __init__(self, people: list[Client], database: Database) -> None:
        self.people = people
        self.database = database
        self.watchers: list[Watcher] = []
        self._tokens = 0

    async def live_through(self, history: History) -> None:
        await self.people[0].open_conversation(*self.people[1:])
        for person in self.people:
            device = SyncedDevice(person)
            await device.catch_up(acknowledges=False)
            self.watchers.append(
                Watcher(person, device, LiveDevice.going_on(device), [device.copy()])
            )
        for call, limit in history:
            await self._call(call)
            for watcher in self.watchers:
                await self._pull(watcher, limit)
                await self._listen(watcher)
        for watcher in self.watchers:
            await self._compare_all(watcher)

    async def _call(self, step: Call) -> None:
        watcher = self.watchers[step.device]
        scopes = watcher.pulling.scopes.values()
        messages = [scope.messages()[seq] for scope in scopes for seq in sorted(scope.messages())]
        self._tokens += 1
        args = arguments(
            step.kind,
            step.first,
            step.second,
            token=f"t{self._tokens}",
            fresh_id=str(uuid.uuid4()),
            conversations=[
                key for scope in scopes for kind, key in scope.things if kind == "conversation"
            ],
            messages=messages,
            others=[one.user_id for one in self.people if one is not watcher.client],
        )
        if args is None:
            return
        if step.kind == "edit_message":
            message = next(one for one in messages if one["id"] == args["message_id"])
            args["based_on_version"] = message["version"]
        answer = await watcher.client.call(step.kind, **args)
        assert answer.status < 500, answer

    async def _pull(self, watcher: Watcher, limit: int) -> None:
        while True:
            page = await watcher.pulling.pull(limit=limit)
            watcher.checkpoints.append(watcher.pulling.copy())
            if not page["has_more"]:
                return

    async def _listen(self, watcher: Watcher) -> None:
        """Every event since, and what was gained meanwhile is read, as the inbox says."""
        live = watcher.live
        await self._go_on(live)
        for scope, held in watcher.pulling.scopes.items():
            if scope not in live.positions:
                live.adopt(scope, held)
        alike(live.as_pulled(), watcher.pulling)

    async def _go_on(self, live: LiveDevice) -> None:
        for scope, position in list(live.positions.items()):
            for offset, event, payload, revokes in await self._events(live, scope, position):
                live.hear(scope, offset, event, payload)
                if revokes in (live.client.user_id, "everybody"):
                    live.drop(scope)
                    break

    async def _events(self, live: LiveDevice, scope: str, after: int) -> list[Event]:
        """As they go to a person: without what is about what they may not see."""
        rows = await self.database.run(
            "SELECT event.event_offset, event.event, event.payload, event.revokes,"
            " coalesce(event.about_offset, event.event_offset) <= participant.history_after_seq"
            " FROM realtime.events AS event"
            " LEFT JOIN roost.conversation_participants AS participant"
            " ON 'conversation:' || participant.conversation_id = event.topic"
            " AND participant.user_id = %s"
            " WHERE event.topic = %s AND event.event_offset > %s ORDER BY event.event_offset",
            live.client.user_id,
            scope,
            after,
        )
        return [
            (offset, "hidden", {}, revokes) if is_hidden else (offset, event, payload, revokes)
            for offset, event, payload, revokes, is_hidden in rows
        ]

    async def _compare_all(self, watcher: Watcher) -> None:
        newest = watcher.pulling
        assert newest.state() == await server_state(watcher.client)
        for device in (newest, watcher.live.as_pulled()):
            for scope in device.scopes:
                verified = await device.verify(scope)
                assert verified["is_same"], verified
        for number, checkpoint in enumerate(watcher.checkpoints):
            # What happened since, compacted: in one pull, or in small pages.
            pulling = checkpoint.copy()
            await pulling.catch_up(acknowledges=False, limit=LIMITS[number % len(LIMITS)])
            alike(pulling, newest)
            # All of it, one after the other.
            live = LiveDevice.going_on(checkpoint)
            await self._go_on(live)
            for scope, from_seq in live.from_seqs.items():
                # What is older comes with later pages; events tell only what changes of it.
                alike(
                    live.as_pulled().without_messages_before(scope, from_seq),
                    newest.without_messages_before(scope, from_seq),
                    scope,
                )
        # All that there ever was, compacted.
        empty = SyncedDevice(watcher.client)
        await empty.catch_up(acknowledges=False)
        alike(empty, newest)


def alike(one: SyncedDevice, other: SyncedDevice, scope: str | None = None) -> None:
    """Also in the offsets that a checksum is made of. scope -- only this one"""
    if scope is None:
        assert one.scopes.keys() == other.scopes.keys(), one.scopes.keys() ^ other.scopes.keys()
    for name in one.scopes if scope is None else [scope]:
        left, right = one.state()[name], other.state()[name]
        assert left.keys() == right.keys(), (name, left.keys() ^ right.keys())
        for thing, value in left.items():
            assert value == right[thing], (name, thing, value, right[thing])
        for thing in left:
            if thing[0] != "conversation":
                offsets = one.scopes[name].things[thing][0], other.scopes[name].things[thing][0]
                assert offsets[0] == offsets[1], (name, thing, offsets)


@pytest.fixture(scope="module")
def run(postgres: EmbeddedPostgres) -> Iterator[Callable[[History], None]]:
    """Lives through a history, with new people, on one server."""
    with migrated_database(postgres) as database, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        client = runner.run(stack.enter_async_context(serving(database, jwt_secret=SECRET)))

        async def live(history: History) -> None:
            async with await connect(database) as connection:
                db = Database(connection)
                people = [await db.person() for _ in range(PEOPLE)]
                clients = [
                    replace(client, token=one.token(), user_id=one.user_id, device_id=one.device_id)
                    for one in people
                ]
                await World(clients, db).live_through(history)

        yield lambda history: runner.run(live(history))
        runner.run(stack.aclose())


# As long as it takes to make a history that fails short.
@pytest.mark.timeout(0)
def test_the_log_and_what_is_left_of_it_lead_to_the_same_state(
    run: Callable[[History], None],
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    given_seed = request.config.getoption("--hypothesis-seed")
    chosen = random.randrange(1_000_000) if given_seed is None else int(given_seed)
    record_property(SUMMARY, f"seed {chosen}, {EXAMPLES} histories")
    print(f"seed {chosen}")

    @seed(chosen)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(long_lists(st.tuples(calls(PEOPLE), st.sampled_from(LIMITS))))
    def lives(history: History) -> None:
        run(history)

    lives()
