"""The run: people write through two servers and listen on both, while these and the database are
killed, stopped and cut off, one after the other. Nothing of what was answered may be lost, and each
listener has to have each event of its topics once and in order.

What is waited for is a condition, never a time: traffic flows again when each writer has been
answered twice since, so that the second was begun since, and each listener has all of that.
"""

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psycopg

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate
from tests.faults.ledger import Event, Ledger, digest
from tests.faults.listeners import (
    AcknowledgingListener,
    Listener,
    SocketListener,
    StalledListener,
    StreamListener,
)
from tests.faults.servers import Server, kill_backend, kill_database
from tests.faults.writers import EventWriter, MessageWriter, Writer
from tests.relaying import SECRET, Database, Person

# As in production: whoever is answered can count on the disk.
POSTGRES_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

SERVER_SETTINGS = {
    "ROOST_JWT_SECRET": SECRET,
    # Little room for whoever does not read, so that it is soon used up.
    "ROOST_REALTIME_UNSENT_BYTES": "65536",
}

# How long it may take until traffic flows again.
LONGEST_OUTAGE = 60.0

# Seconds between an answer and the next thing of a writer: some 100 things a second in all.
PAUSE = 0.04
# Of a message to the conversation that the stalled ones listen to: megabytes within seconds.
LARGE_FILLING = 98_304

# Who opens a conversation writes so many messages to it.
MESSAGES_OF_ADDED = 20

# How much more memory than at the beginning a server may have.
MOST_GROWTH = 64 * 1024**2

Steps = AsyncIterator[None]


@dataclass(slots=True)
class Report:
    """
    recovery -- seconds from a fault until traffic flowed again, for each of a kind
    """

    seed: int
    seconds: float = 0.0
    events: int = 0
    answered: int = 0
    deliveries: int = 0
    repeats: int = 0
    resumes: int = 0
    evictions: int = 0
    recovery: dict[str, list[float]] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    database_starts: list[float] = field(default_factory=list)
    failed_starts: int = 0
    drains: list[float] = field(default_factory=list)
    longest_lag: dict[str, float] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    first_memory: int = 0
    most_memory: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = sum(map(len, self.recovery.values()))
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s, {faults} faults",
            f"{self.answered} writes answered, {self.events} events, {self.deliveries} deliveries"
            f" and {self.repeats} asked for again, {self.resumes} resumes,"
            f" {self.evictions} evictions",
            f"memory of a server: {self.first_memory >> 20} MiB at first,"
            f" {self.most_memory >> 20} MiB at most",
            "",
            f"{'fault':36} {'times':>5} {'median':>8} {'longest':>8}  longest lag of an answered"
            " write",
        ]
        for kind, times in sorted(self.recovery.items()):
            lag = self.longest_lag.get(kind, 0.0)
            median = sorted(times)[len(times) // 2]
            lines.append(
                f"{kind:36} {len(times):5} {median:6.2f} s {max(times):6.2f} s  {lag:6.2f} s"
            )
        lines += [
            f"{'(between faults)':36} {'':23}  {self.longest_lag.get('calm', 0.0):6.2f} s",
            "",
            f"starts of a server: {_spread(self.restarts)}, and {self.failed_starts} that found no"
            " database",
            f"starts of the database, recovery included: {_spread(self.database_starts)}",
            f"ends of a server after SIGTERM: {_spread(self.drains)}",
            f"asked again after: {_counts(self.refusals)}",
            f"connections ended: {_counts(self.cuts)}",
            *self.problems,
        ]
        return "\n".join(lines)


def _spread(times: list[float]) -> str:
    if not times:
        return "none"
    return f"{len(times)}, {min(times):.2f} to {max(times):.2f} s"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common()) or "nothing"


class Run:
    """People, servers and a database; inject() breaks something, finish() compares."""

    def __init__(self, seed: int, folder: Path, arguments: Sequence[str], calm_writes: int) -> None:
        """
        arguments -- of `roost serve`
        calm_writes -- what each writer is answered between two faults, at least
        """
        self._calm_writes = calm_writes
        self.ledger = Ledger()
        self.report = Report(seed)
        self._began = time.monotonic()
        self._random = random.Random(seed)
        self._postgres = EmbeddedPostgres(folder / "database", settings=POSTGRES_SETTINGS)
        self._conninfo = self._postgres.conninfo()
        self._servers = [
            Server(name, self._conninfo, folder, arguments, **SERVER_SETTINGS)
            for name in ("first", "second")
        ]
        self._listeners: list[Listener] = []
        self._writers: list[Writer] = []
        self._writing: list[asyncio.Task[None]] = []
        self._people: list[Person] = []
        self._stop = asyncio.Event()
        self._flows_again = asyncio.Event()
        self._first_memory: dict[Server, int] = {}
        self._http: aiohttp.ClientSession

    # --- beginning and end ------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Everybody writes and listens, until finish() or the end."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._postgres.stop)
            await asyncio.to_thread(self._postgres.start)
            await asyncio.to_thread(migrate, self._conninfo)
            async with self._database() as database:
                await self._settle_people(database)
            for server in self._servers:
                stack.push_async_callback(server.close)
            await asyncio.gather(*(server.start() for server in self._servers))
            self._http = await stack.enter_async_context(aiohttp.ClientSession())
            tasks = [asyncio.create_task(listener.run()) for listener in self._listeners]
            tasks.append(asyncio.create_task(self._weigh()))
            stack.push_async_callback(_end, tasks)
            await self._until(
                lambda: all(listener.resumes >= 0 for listener in self._listeners), "joined"
            )
            stack.push_async_callback(_end, self._writing)
            for writer in self._writers:
                self._let_write(writer)
            # From here on each listener has heard something of each topic.
            await self._flowing()
            self._first_memory = {server: server.weigh() for server in self._servers}
            self.ledger.goes_on = "calm"
            yield

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Database]:
        async with await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True
        ) as connection:
            yield Database(connection)

    async def _settle_people(self, database: Database) -> None:
        """Four people in two conversations, of whom two are in a third with large messages."""
        people = self._people = [await database.person() for _ in range(4)]
        ada, grace, *_ = people
        talks = [f"conversation:{await database.conversation(*people)}" for _ in range(2)]
        large = f"conversation:{await database.conversation(ada, grace)}"
        notes = {person: f"app:{person.user_id}:notes" for person in people}

        async def device(person: Person) -> Person:
            other = Person(person.user_id, str(uuid.uuid4()), str(uuid.uuid4()))
            await database.run(
                "INSERT INTO roost.devices (id, user_id) VALUES (%s, %s)",
                other.device_id,
                other.user_id,
            )
            await database.session(other)
            return other

        async def add(
            kind: Callable[..., Listener],
            person: Person,
            topic: str,
            servers: Sequence[Server] = self._servers,
        ) -> None:
            inner: tuple[str, ...] = ()
            if topic == person.inbox:
                inner = (*talks, large) if person in (ada, grace) else tuple(talks)
            name = f"{kind.__name__} {len(self._listeners) + 1}"
            self._listeners.append(
                kind(name, await device(person), topic, servers, self.ledger, inner)
            )

        for person in people:
            for topic in (*talks, person.inbox, notes[person]):
                await add(SocketListener, person, topic)
        await add(SocketListener, ada, large)
        await add(AcknowledgingListener, grace, talks[0])
        await add(AcknowledgingListener, people[2], people[2].inbox)
        await add(StreamListener, people[3], talks[1])
        await add(StreamListener, people[2], people[2].inbox)
        for server in self._servers:
            await add(StalledListener, grace, large, [server])

        with_all = (self._servers, self.ledger, PAUSE)
        for number, person in enumerate(people):
            self._writers.append(MessageWriter(person, talks[number % 2], *with_all))
            self._writers.append(EventWriter(person, notes[person], *with_all))
        self._writers.append(MessageWriter(ada, large, *with_all, filling=LARGE_FILLING))
        # Those of an hour would end in a long run.
        await database.run("UPDATE roost.sessions SET expires_at = now() + interval '30 days'")

    def _let_write(self, writer: Writer) -> None:
        self._writing.append(asyncio.create_task(writer.run(self._http, self._stop)))

    async def _add_conversation(self) -> None:
        """Somebody opens a conversation with others and writes some messages, of which all of them
        hear in their inboxes.
        """
        people = self._people
        async with self._http.post(
            f"{self._random.choice(self._servers).url}/rpc/create_conversation",
            json={"participants": [person.user_id for person in people]},
            headers={"Authorization": f"Bearer {people[0].token()}"},
        ) as answer:
            assert answer.status == 200, await answer.text()
            topic = f"conversation:{(await answer.json())['id']}"
        for listener in self._listeners:
            if listener.topics[0] in [person.inbox for person in people]:
                listener.topics.append(topic)
        writer = MessageWriter(people[1], topic, self._servers, self.ledger, PAUSE)
        writer.most = MESSAGES_OF_ADDED
        self._writers.append(writer)
        self._let_write(writer)

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            for server in self._servers:
                server.weigh()

    # --- faults -----------------------------------------------------------------------------------

    async def inject(self, kind: str) -> None:
        """Breaks something, has it mended, and waits until traffic flows through both servers.

        Raises AssertionError when it does not, or something is wrong already.
        """
        self._flows_again.clear()
        self.ledger.goes_on = kind
        steps = FAULTS[kind](self)
        await self._add_conversation()
        began = time.monotonic()
        await anext(steps)

        async def recover() -> None:
            await self._flowing()
            self.report.recovery.setdefault(kind, []).append(time.monotonic() - began)
            self._flows_again.set()

        async def mend() -> None:
            async for _ in steps:
                pass

        await _together(recover(), mend())
        if kind != CUT:
            # Whoever was cut off has gone to the other server; some of all come back.
            await self.inject(CUT)
        self.ledger.goes_on = "calm"
        await self._flowing(self._calm_writes)
        assert not self.ledger.problems, self._summary()

    async def _flowing(self, writes: int = 2) -> None:
        """Waits until everybody has been answered and sent something that was written since."""
        numbers = {writer: min(writer.number + writes, writer.most) for writer in self._writers}
        await self._until(
            lambda: all(writer.number >= number for writer, number in numbers.items()),
            "answered",
        )
        newest = dict(self.ledger.newest)
        await self._until(
            lambda: all(self._is_level(listener, newest) for listener in self._listeners),
            "sent what was written",
        )

    def _is_level(self, listener: Listener, newest: dict[str, int]) -> bool:
        return listener.is_patient or listener.has(newest)

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_OUTAGE):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self.ledger.problem(f"not everybody was {what} within {LONGEST_OUTAGE:.0f} seconds")
            for listener in self._listeners:
                if not self._is_level(listener, self.ledger.newest):
                    self.ledger.problem(f"{listener} is at {listener.positions}")
            raise AssertionError(self._summary()) from None

    async def _server_killed(self) -> Steps:
        server = self._random.choice(self._servers)
        await self._kill(server)
        yield
        await server.start()

    async def _server_stalled(self) -> Steps:
        server = self._random.choice(self._servers)
        server.freeze()
        yield
        await self._flows_again.wait()
        server.thaw()

    async def _server_drained(self) -> Steps:
        server = self._random.choice(self._servers)
        await server.count_evictions(self._http)
        server.terminate()
        yield
        await self._see_end(server)
        await server.start()

    async def _database_killed(self) -> Steps:
        await kill_database(self._postgres)
        yield
        await self._start_database()

    async def _backend_killed(self) -> Steps:
        # One of those that calls share.
        pids = await self._backends("NOT starts_with(query, 'LISTEN')")
        kill_backend(self._random.choice(pids))
        yield

    async def _listening_cut(self) -> Steps:
        await self._terminate("starts_with(query, 'LISTEN')")
        yield

    async def _connections_cut(self) -> Steps:
        await self._terminate("true")
        yield

    async def _clients_cut(self) -> Steps:
        listeners = [one for one in self._listeners if not one.is_patient]
        for listener in self._random.sample(listeners, len(listeners) // 2):
            listener.cut()
        yield

    async def _database_and_server_killed(self) -> Steps:
        server = self._random.choice(self._servers)
        await asyncio.gather(kill_database(self._postgres), self._kill(server))
        yield
        # The server finds no database at first.
        await _together(server.start(), self._start_database())

    async def _everything_killed(self) -> Steps:
        await asyncio.gather(
            kill_database(self._postgres), *(self._kill(server) for server in self._servers)
        )
        yield
        await _together(self._start_database(), *(server.start() for server in self._servers))

    async def _drained_without_database(self) -> Steps:
        server = self._random.choice(self._servers)
        await server.count_evictions(self._http)
        await kill_database(self._postgres)
        server.terminate()
        yield
        await _together(self._see_end(server), self._start_database())
        await server.start()

    async def _start_database(self) -> None:
        began = time.monotonic()
        await asyncio.to_thread(self._postgres.start)
        self.report.database_starts.append(time.monotonic() - began)

    async def _kill(self, server: Server) -> None:
        await server.count_evictions(self._http)
        await server.kill()

    async def _see_end(self, server: Server) -> None:
        code, seconds = await server.ended()
        self.report.drains.append(seconds)
        if code != 0 or seconds > 5:
            self.ledger.problem(f"after SIGTERM a server ended with {code}, in {seconds:.1f} s")

    async def _backends(self, condition: str) -> list[int]:
        async with self._database() as database:
            rows = await database.run(
                "SELECT pid FROM pg_catalog.pg_stat_activity"
                f" WHERE application_name = 'roost' AND {condition}"
            )
        assert rows, f"nobody is connected such that {condition}"
        return [pid for (pid,) in rows]

    async def _terminate(self, condition: str) -> None:
        async with self._database() as database:
            for pid in await self._backends(condition):
                await database.run("SELECT pg_catalog.pg_terminate_backend(%s)", pid)

    # --- the end ----------------------------------------------------------------------------------

    async def finish(self) -> Report:
        """Has everybody come to the end, and compares with the database.

        Raises AssertionError with all that is wrong.
        """
        self.ledger.goes_on = "end"
        await self._see_evictions()
        acknowledging = [one for one in self._listeners if isinstance(one, AcknowledgingListener)]
        for one in acknowledging:
            one.acknowledges = False
        self._stop.set()
        await asyncio.gather(*self._writing)
        for listener in self._listeners:
            if isinstance(listener, StalledListener):
                listener.read_on()
        # Nothing comes after the last receipts.
        await self._until(lambda: all(one.is_answered for one in acknowledging), "acknowledged")
        async with self._database() as database:
            newest = await self._newest(database)
            await self._until(
                lambda: all(listener.has(newest) for listener in self._listeners), "at the end"
            )
            await self._compare_events(database)
            await self._compare_messages(database)
        await self._end_servers()
        self._fill_report()
        assert not self.ledger.problems, self._summary()
        return self.report

    async def _see_evictions(self) -> None:
        """Waits until on each server whoever does not read has been left to the log: the others
        have gone on, and the server does not keep what it can't send.
        """
        try:
            async with asyncio.timeout(LONGEST_OUTAGE):
                while not all(server.evictions for server in self._servers):
                    for server in self._servers:
                        await server.count_evictions(self._http)
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self.ledger.problem("whoever does not read has not been left to the log")

    async def _newest(self, database: Database) -> dict[str, int]:
        rows = await database.run(
            "SELECT 'conversation:' || id, last_seq FROM roost.conversations"
            " UNION ALL SELECT topic, last_offset FROM realtime.topics"
        )
        return dict(rows)

    async def _compare_events(self, database: Database) -> None:
        """Each topic's offsets are 1, 2, 3 and so on, and each event is what listeners have."""
        last: dict[str, int] = {}
        connection = database.connection
        async with connection.transaction(), connection.cursor("events") as cursor:
            await cursor.execute(
                "SELECT topic, event_offset, id::text, event, payload::text FROM realtime.events"
                " ORDER BY topic, event_offset"
            )
            async for topic, offset, event_id, name, payload in cursor:
                if offset != last.get(topic, 0) + 1:
                    self.ledger.problem(f"{topic} has {offset} behind {last.get(topic, 0)}")
                last[topic] = offset
                stored = Event(event_id, digest(name, orjson.loads(payload)))
                if self.ledger.events.get(topic, {}).get(offset) != stored:
                    self.ledger.problem(f"event {offset} of {topic} is not what was heard")
                self.report.events += 1
        if last != await self._newest(database):
            self.ledger.problem("topics end elsewhere than their events")

    async def _compare_messages(self, database: Database) -> None:
        """What was answered is there, once, where the answer said; and nothing else is."""
        stored: list[tuple[str, str, int, int]] = [
            *await database.run(
                "SELECT id::text, 'conversation:' || conversation_id, seq,"
                " (content ->> 'number')::bigint FROM roost.messages"
            ),
            *await database.run(
                "SELECT payload ->> 'id', topic, event_offset, (payload ->> 'number')::bigint"
                " FROM realtime.events WHERE starts_with(topic, 'app:')"
            ),
        ]
        twice = [name for name, times in Counter(row[0] for row in stored).items() if times > 1]
        answered = {(message_id, *answer) for message_id, answer in self.ledger.answered.items()}
        for what, found in (
            ("is there twice", twice),
            ("was answered and is not there", answered - set(stored)),
            ("is there and was never answered", set(stored) - answered),
        ):
            for one in list(found)[:3]:
                self.ledger.problem(f"{one} {what}")

    async def _end_servers(self) -> None:
        for server in self._servers:
            server.terminate()
        await asyncio.gather(*map(self._see_end, self._servers))
        for server in self._servers:
            for line in server.unforeseen():
                self.ledger.problem(f"the log of the {server.name} server says: {line}")
            growth = server.most_memory - self._first_memory[server]
            if growth > MOST_GROWTH:
                self.ledger.problem(f"a server took {growth >> 20} MiB more than at first")

    def _fill_report(self) -> None:
        report, ledger = self.report, self.ledger
        report.seconds = time.monotonic() - self._began
        report.answered = len(ledger.answered)
        report.deliveries, report.repeats = ledger.deliveries, ledger.repeats
        report.longest_lag = ledger.longest_lag
        report.refusals, report.cuts = ledger.refusals, ledger.cuts
        report.resumes = sum(listener.resumes for listener in self._listeners)
        report.evictions, report.restarts, report.failed_starts = 0, [], 0
        for server in self._servers:
            report.evictions += server.evictions + server.evictions_before
            report.restarts += server.started_in
            report.failed_starts += server.attempts - len(server.started_in)
        report.first_memory = max(self._first_memory.values(), default=0)
        report.most_memory = max(server.most_memory for server in self._servers)

    def _summary(self) -> str:
        """The report as far as it goes, and what the servers have said at last."""
        self._fill_report()
        self.report.problems = list(self.ledger.problems)
        for server in self._servers:
            self.report.problems += ["", f"the {server.name} server:", *server.last_words()]
        return str(self.report)


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """All of it, or the first error as it is."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


CUT = "clients cut off"

# A generator breaks something up to its yield, and mends it behind that.
FAULTS: dict[str, Callable[[Run], Steps]] = {
    "server killed": Run._server_killed,
    "server stalled": Run._server_stalled,
    "server drained": Run._server_drained,
    "database killed": Run._database_killed,
    "one database process killed": Run._backend_killed,
    "listening connections cut": Run._listening_cut,
    "all database connections cut": Run._connections_cut,
    CUT: Run._clients_cut,
    "database and server killed": Run._database_and_server_killed,
    "everything killed": Run._everything_killed,
    "server drained without a database": Run._drained_without_database,
}


@contextlib.asynccontextmanager
async def running(
    seed: int, arguments: Sequence[str] = (), calm_writes: int = 5
) -> AsyncIterator[Run]:
    """A run with a database of its own in the system's temporary folder.

    seed -- of the order of things, as far as they are the run's to choose
    arguments -- of `roost serve`
    calm_writes -- what each writer is answered between two faults, at least
    """
    folder = Path(tempfile.mkdtemp(prefix="roost-faults-"))
    random.seed(seed)
    try:
        run = Run(seed, folder, arguments, calm_writes)
        async with run.going_on():
            yield run
    finally:
        shutil.rmtree(folder, ignore_errors=True)
