"""What the workers of a host read together: one query for all, and never an answer from before."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping

import pytest

from roost.database.pipeline import Multiplexer, Rows
from roost.errors import DatabaseUnavailable, RoostError
from roost.realtime import hub as hub_module
from roost.realtime import shared_log
from roost.realtime.host_link import HostLink
from roost.realtime.host_messages import Kind, Messages, pack_rows, unpack_rows
from roost.realtime.hub import Hub
from roost.realtime.log import LogReader, ask_database
from roost.realtime.shared_log import SharedLog
from tests.relaying import Database, eventually
from tests.support import connect

TOPIC = "user:one"
OTHER = "user:two"
LARGE = 1_000_000


class Log:
    """A shared log over a database, whose queries are counted and can be held up."""

    def __init__(self, multiplexer: Multiplexer) -> None:
        self.shared = SharedLog(self._ask)
        self.queries: list[dict[str, int]] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.fails = False
        self._ask_database = ask_database(multiplexer)

    async def _ask(self, positions: Mapping[str, int], limit: int, most_bytes: int) -> Rows:
        self.queries.append(dict(positions))
        rows = await self._ask_database(positions, limit, most_bytes)
        await self.goes_on.wait()
        if self.fails:
            raise DatabaseUnavailable(code="08006", message="It is gone.")
        return rows

    async def read(
        self, positions: Mapping[str, int], limit: int = 100, most_bytes: int = LARGE
    ) -> dict[str, list[int]]:
        """The offsets of each topic."""
        found: dict[str, list[int]] = {}
        for row in await self.shared.read(positions, limit, most_bytes):
            found.setdefault((row[0] or b"").decode(), []).append(int(row[1] or 0))
        return found


@pytest.fixture
async def multiplexer(database: str) -> AsyncIterator[Multiplexer]:
    multiplexer = Multiplexer(
        database,
        connections=2,
        slow_connections=0,
        depth=8,
        connect_timeout=2,
        statement_timeout_ms=10_000,
    )
    await multiplexer.open()
    yield multiplexer
    await multiplexer.close(2.0)


@pytest.fixture
async def log(multiplexer: Multiplexer) -> Log:
    return Log(multiplexer)


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


async def test_who_asks_while_it_is_read_gets_the_same(log: Log, db: Database) -> None:
    await db.publish_many(TOPIC, 3)
    log.goes_on.clear()
    reads = [asyncio.create_task(log.read({TOPIC: after})) for after in (0, 0, 2, 3)]
    await eventually(lambda: len(log.queries) == 1)
    log.goes_on.set()
    assert [await read for read in reads] == [
        {TOPIC: [1, 2, 3]},
        {TOPIC: [1, 2, 3]},
        {TOPIC: [3]},
        {},
    ]
    # And who asks thereafter.
    assert await log.read({TOPIC: 1}) == {TOPIC: [2, 3]}
    assert log.queries == [{TOPIC: 0}]
    assert (log.shared.queries, log.shared.shared) == (1, 4)


async def test_what_is_announced_is_read_anew(log: Log, db: Database) -> None:
    await db.publish(TOPIC)
    assert await log.read({TOPIC: 0}) == {TOPIC: [1]}
    await db.publish(TOPIC)
    log.shared.forget([TOPIC])
    assert await log.read({TOPIC: 1}) == {TOPIC: [2]}
    await db.publish(TOPIC)
    log.shared.forget_all()
    assert await log.read({TOPIC: 2}) == {TOPIC: [3]}
    assert log.queries == [{TOPIC: 0}, {TOPIC: 1}, {TOPIC: 2}]


async def test_a_read_from_before_the_announcement_is_not_for_who_asks_after(
    log: Log, db: Database
) -> None:
    await db.publish(TOPIC)
    log.goes_on.clear()
    early = asyncio.create_task(log.read({TOPIC: 0}))
    await eventually(lambda: len(log.queries) == 1)
    # Whether the query has seen it or not.
    await db.publish(TOPIC)
    log.shared.forget([TOPIC])
    late = asyncio.create_task(log.read({TOPIC: 0}))
    await eventually(lambda: len(log.queries) == 2)
    log.goes_on.set()
    assert (await early)[TOPIC][0] == 1
    assert await late == {TOPIC: [1, 2]}


async def test_only_what_nobody_has_read_is_asked_for(log: Log, db: Database) -> None:
    await db.publish(TOPIC)
    await db.publish(OTHER)
    assert await log.read({TOPIC: 0}) == {TOPIC: [1]}
    assert await log.read({TOPIC: 0, OTHER: 0}) == {TOPIC: [1], OTHER: [1]}
    assert log.queries == [{TOPIC: 0}, {OTHER: 0}]


async def test_an_answer_that_is_cut_short_is_for_the_same_question(log: Log, db: Database) -> None:
    await db.publish_many(TOPIC, 5)
    assert await log.read({TOPIC: 0}, limit=2) == {TOPIC: [1, 2]}
    assert await log.read({TOPIC: 0}, limit=2) == {TOPIC: [1, 2]}
    assert log.queries == [{TOPIC: 0}]
    assert await log.read({TOPIC: 0}, limit=3) == {TOPIC: [1, 2, 3]}
    assert await log.read({TOPIC: 2}, limit=2) == {TOPIC: [3, 4]}
    assert await log.read({TOPIC: 0}, limit=9, most_bytes=1) == {TOPIC: [1]}
    assert await log.read({TOPIC: 0}, limit=9) == {TOPIC: [1, 2, 3, 4, 5]}
    # This one has it all, and is for every question.
    queries = len(log.queries)
    assert await log.read({TOPIC: 1}, limit=2) == {TOPIC: [2, 3]}
    assert len(log.queries) == queries


async def test_who_lacks_more_asks_for_more(log: Log, db: Database) -> None:
    await db.publish_many(TOPIC, 3)
    assert await log.read({TOPIC: 2}) == {TOPIC: [3]}
    assert await log.read({TOPIC: 0}) == {TOPIC: [1, 2, 3]}
    assert log.queries == [{TOPIC: 2}, {TOPIC: 0}]


async def test_nothing_is_kept_of_a_query_that_failed(log: Log, db: Database) -> None:
    await db.publish(TOPIC)
    log.fails = True
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await log.read({TOPIC: 0})
    log.fails = False
    assert await log.read({TOPIC: 0}) == {TOPIC: [1]}
    assert len(log.queries) == 3


async def test_who_asked_first_may_go_away(log: Log, db: Database) -> None:
    await db.publish(TOPIC)
    log.goes_on.clear()
    first, second = (asyncio.create_task(log.read({TOPIC: 0})) for _ in range(2))
    await eventually(lambda: len(log.queries) == 1)
    first.cancel()
    log.goes_on.set()
    assert await second == {TOPIC: [1]}
    assert len(log.queries) == 1


async def test_what_nobody_announced_is_found_a_second_later(
    log: Log, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await log.read({TOPIC: 0}) == {}
    await db.publish(TOPIC)
    assert await log.read({TOPIC: 0}) == {}
    monkeypatch.setattr(shared_log, "KEPT_SECONDS", 0.0)
    assert await log.read({TOPIC: 0}) == {TOPIC: [1]}


async def test_what_is_kept_is_bounded(
    log: Log, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_log, "MOST_KEPT_BYTES", 2_000)
    await db.publish_many(TOPIC, 1, 1_500)
    await db.publish_many(OTHER, 1, 1_500)
    await log.read({TOPIC: 0})
    await log.read({OTHER: 0})
    # The older one has gone.
    await log.read({OTHER: 0})
    await log.read({TOPIC: 0})
    assert log.queries == [{TOPIC: 0}, {OTHER: 0}, {TOPIC: 0}]


async def test_nothing_is_kept_of_a_log_that_was_replaced(log: Log, db: Database) -> None:
    await db.publish(TOPIC)
    await db.publish(OTHER)
    await log.read({TOPIC: 0})
    await db.run("SELECT realtime.new_epoch()")
    await log.read({OTHER: 0})
    rows = await log.shared.read({TOPIC: 0, OTHER: 0}, 100, LARGE)
    assert len({row[5] for row in rows}) == 1
    assert len(log.queries) == 3


async def test_pages_are_the_same_by_way_of_the_hub(multiplexer: Multiplexer, db: Database) -> None:
    await db.publish_many(TOPIC, 3)
    await db.publish(TOPIC, revokes="everybody")
    hub = Hub(multiplexer)
    link = HostLink()
    ours, theirs = socket.socketpair()
    await hub.connect("1", ours, lambda: None, stuck=lambda: None)
    await link.open(theirs)
    direct = await LogReader(ask_database(multiplexer)).read({TOPIC: 0, OTHER: 0})
    shared = await LogReader(link.ask).read({TOPIC: 0, OTHER: 0})
    assert list(direct) == list(shared) == [TOPIC]
    for mine, other in zip(direct[TOPIC].events, shared[TOPIC].events, strict=True):
        assert mine.message() == other.message()
        assert (mine.about, mine.revokes) == (other.about, other.revokes)
        assert mine.written_at is not None
        assert other.written_at is not None
        assert abs(mine.written_at - other.written_at) < 0.5
    await multiplexer.close(1.0)
    # Something that was not kept.
    hub.log.forget_all()
    with pytest.raises(RoostError) as error:
        await link.ask({TOPIC: 0}, 1, 1)
    assert error.value.status >= 500
    await hub.close()
    await link.lost


@pytest.mark.parametrize(
    "rows", [[], [[b"one", None, b""]], [[b"1", b"\x00\xff\n"], [None, None], [b"x" * 70_000, b""]]]
)
def test_rows_come_as_they_went(rows: Rows) -> None:
    assert unpack_rows(pack_rows(rows)) == rows


async def test_messages_come_whole_and_in_order() -> None:
    heard: list[tuple[Kind, int, bytes]] = []
    lost = asyncio.Event()
    messages = Messages(lambda *message: heard.append(message), lost.set)
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().create_unix_connection(lambda: messages, sock=ours)
    sender = Messages(lambda *_: None, lambda: None)
    _, protocol = await asyncio.get_running_loop().create_unix_connection(
        lambda: sender, sock=theirs
    )
    sent = [(Kind.LINES, number, b"x" * size) for number, size in enumerate((0, 1, 200_000, 3))]
    for kind, number, body in sent:
        protocol.send(kind, body, number)
    protocol.close()
    await lost.wait()
    assert heard == sent


async def test_a_worker_that_takes_nothing_in_is_ended(
    multiplexer: Multiplexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MOST_UNSENT_BYTES", 100_000)
    hub = Hub(multiplexer)
    stuck = asyncio.Event()
    ends = [socket.socketpair() for _ in range(2)]
    link = HostLink()
    await hub.connect("1", ends[0][0], lambda: None, stuck=stuck.set)
    await hub.connect("2", ends[1][0], lambda: None, stuck=pytest.fail)
    await link.open(ends[1][1])
    async with asyncio.timeout(20):
        while not stuck.is_set():
            hub.on_notify(f"somebody\nuser:{'x' * 7_000}")
            # The other one takes it in.
            await asyncio.sleep(0)
    ends[0][1].close()
    await hub.close()
    await link.lost
