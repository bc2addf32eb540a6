"""Events and reads agree: the state after any events is what a fresh read answers.

Random people do random things to a conversation. After each step, what a client keeps from its
first read and the events since is compared with a fresh read; at the end, events are replayed from
every earlier offset onto what was read then, and onto what is read now.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import tuple_row

from roost.database.embedded import EmbeddedPostgres
from tests.client_state import ClientState
from tests.support import migrated_database

PEOPLE = [f"00000000-0000-7000-8000-00000000000{n}" for n in range(1, 5)]
OWNER = 0

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Step:
    """Somebody does something; the numbers choose what it is done to."""

    person: int
    what: str
    first: int
    second: int


# How often each is done: what needs something to be there more often than what takes it away.
KINDS = {
    "send": 12,
    "reply": 8,
    "edit": 8,
    "react": 8,
    "mark_read": 8,
    "delete": 5,
    "restore": 5,
    "add": 5,
    "unreact": 4,
    "mark_delivered": 4,
    "change_role": 4,
    "unarchive": 4,
    "restore!": 4,
    "add_from_now": 3,
    "purge": 2,
    "update": 2,
    "language": 2,
    "archive": 2,
    "remove": 2,
    "leave": 1,
    "transfer": 1,
    "delete!": 1,
    "expire": 1,
}


def steps(seed: int, count: int) -> list[Step]:
    """The same for the same seed."""
    dice = random.Random(seed)
    return [
        Step(
            person=dice.choices(range(len(PEOPLE)), [4, 3, 2, 1])[0],
            what=dice.choices(list(KINDS), list(KINDS.values()))[0],
            first=dice.randrange(10),
            second=dice.randrange(10),
        )
        for _ in range(count)
    ]


class World:
    """One conversation, its people, and what each of them keeps on a device."""

    def __init__(self, database: Connection) -> None:
        self.database = database
        self.id: str = self.ask(
            OWNER, "create_conversation", {"title": "Plans", "participants": PEOPLE[1:3]}
        )["id"]
        self.clients: dict[int, ClientState] = {}
        # What each read at some offset, as long as nothing came between that ended their right.
        self.history: dict[int, dict[int, ClientState]] = {}
        self.position = self.offset()
        self.look()

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, person: int, function: str, arguments: dict[str, Any]) -> Any:
        """Calls a function of api as a person; a refusal raises."""
        names = list(arguments)
        call = sql.SQL("SELECT to_json(result) FROM api.{}({}) AS result").format(
            sql.Identifier(function),
            sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(name)) for name in names),
        )
        with self.database.transaction():
            self.database.execute(
                "SELECT set_config('roost.user_id', %s, true),"
                " set_config('role', 'roost_user', true)",
                [PEOPLE[person]],
            )
            rows = self.database.execute(call, list(arguments.values())).fetchall()
        values = [row[0] for row in rows]
        return values if function.startswith("list_") else values[0]

    def offset(self) -> int:
        row = self.database.execute(
            "SELECT last_seq FROM roost.conversations WHERE id = %s", [self.id]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def events(self, after: int, person: int) -> list[tuple[int, str, Any, str | None]]:
        """As they go to somebody: without what came before the history that they may see."""
        return self.database.execute(
            "SELECT event.event_offset,"
            " CASE WHEN hidden.it_is THEN 'hidden' ELSE event.event END,"
            " CASE WHEN hidden.it_is THEN '{}' ELSE event.payload END,"
            " event.revokes"
            " FROM realtime.events AS event"
            " CROSS JOIN roost.conversation_participants AS participant"
            " CROSS JOIN LATERAL (SELECT coalesce(event.about_offset, event.event_offset)"
            " <= participant.history_after_seq AS it_is) AS hidden"
            " WHERE event.topic = 'conversation:' || %s AND event.event_offset > %s"
            " AND participant.conversation_id = %s AND participant.user_id = %s"
            " ORDER BY event.event_offset",
            [self.id, after, self.id, PEOPLE[person]],
        ).fetchall()

    def read(self, person: int) -> ClientState | None:
        """A fresh read; None for somebody who may not."""
        try:
            conversation = self.ask(person, "get_conversation", {"conversation_id": self.id})
            if conversation["deleted_at"] is not None:
                return None
            messages = self.ask(
                person,
                "list_messages",
                {"conversation_id": self.id, "after_seq": 0, "page_size": 200},
            )
            participants = self.ask(person, "list_participants", {"conversation_id": self.id})
        except psycopg.Error as error:
            if error.sqlstate != "RO201":
                raise
            return None
        return ClientState(
            PEOPLE[person],
            conversation,
            {message["id"]: message for message in messages},
            {participant["user_id"]: participant for participant in participants},
        )

    # --- doing ----------------------------------------------------------------------------------

    def messages(self) -> list[tuple[str, int, int]]:
        return self.database.execute(
            "SELECT id::text, version, seq FROM roost.messages WHERE conversation_id = %s"
            " ORDER BY seq",
            [self.id],
        ).fetchall()

    def do(self, step: Step) -> None:
        """Does it; a refusal is as good as anything else, as long as nobody is told of it."""
        before = self.offset()
        try:
            self._do(step)
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith(("RO", "23")) or self.offset() != before:
                raise

    def _do(self, step: Step) -> None:
        listed = self.messages()
        message = listed[step.first % len(listed)] if listed else (PEOPLE[0], 1, 0)
        if step.what == "expire":
            self._expire(step.person, message[2])
            return
        somebody = PEOPLE[step.first % len(PEOPLE)]
        call = self._message_call(step, *message) or self._conversation_call(step, somebody)
        assert call is not None, step.what
        self.ask(step.person, *call)

    def _message_call(
        self, step: Step, message_id: str, version: int, seq: int
    ) -> tuple[str, dict[str, Any]] | None:
        message = {"message_id": message_id}
        match step.what:
            case "send" | "reply":
                text = f"{step.first} @{PEOPLE[step.second % len(PEOPLE)]}"
                return "send_message", {
                    "conversation_id": self.id,
                    "content": json.dumps({"text": text}),
                    "parent_message_id": message_id if step.what == "reply" else None,
                }
            case "edit":
                return "edit_message", {
                    **message,
                    "content": json.dumps({"text": f"edited {step.second}"}),
                    "based_on_version": version - step.second // 8,
                }
            case "delete" | "restore" | "purge":
                return f"{step.what}_message", message
            case "react" | "unreact":
                verb = "add" if step.what == "react" else "remove"
                reaction = [":ship:", "\N{ROCKET}"][step.second % 2]
                return f"{verb}_reaction", {**message, "reaction": reaction}
            case "mark_read" | "mark_delivered":
                return step.what, {"conversation_id": self.id, "up_to_seq": seq}
        return None

    def _conversation_call(  # noqa: PLR0911  # one for each kind of step
        self, step: Step, somebody: str
    ) -> tuple[str, dict[str, Any]] | None:
        here = {"conversation_id": self.id}
        match step.what:
            case "update":
                title = f"Title {step.first}"
                return "update_conversation", {**here, "title": title, "metadata": '{"a": 1}'}
            case "language":
                return "update_conversation", {**here, "search_language": "english"}
            case "archive" | "unarchive" | "delete!" | "restore!" | "leave":
                return f"{step.what.strip('!')}_conversation", here
            case "add" | "add_from_now":
                history = "all" if step.what == "add" else "from_now"
                return "add_participant", {**here, "user_id": somebody, "history": history}
            case "remove":
                return "remove_participant", {**here, "user_id": somebody}
            case "change_role":
                role = ["viewer", "member", "admin"][step.second % 3]
                return "change_role", {**here, "user_id": somebody, "role": role}
            case "transfer":
                return "transfer_ownership", {**here, "user_id": somebody}
        return None

    def _expire(self, person: int, up_to_seq: int) -> None:
        self.ask(person, "set_retention", {"conversation_id": self.id, "retention_days": 1})
        self.database.execute(
            "UPDATE roost.messages SET created_at = created_at - interval '2 days'"
            " WHERE conversation_id = %s AND seq <= %s",
            [self.id, up_to_seq],
        )
        while self.database.execute("SELECT roost.expire_messages(2)").fetchone() != (0,):
            pass

    # --- comparing ------------------------------------------------------------------------------

    def look(self) -> None:
        """Every client takes in what is new, and is held against a fresh read."""
        newest = self.offset()
        for person, client in list(self.clients.items()):
            news = self.events(self.position, person)
            assert [event[0] for event in news] == list(range(self.position + 1, newest + 1))
            for offset, event, payload, revokes in news:
                client.apply(offset, event, payload)
                if revokes in (PEOPLE[person], "everybody"):
                    del self.clients[person]
                    self.history.pop(person, None)
                    break
        self.position = newest
        for person in range(len(PEOPLE)):
            fresh = self.read(person)
            kept = self.clients.get(person)
            assert (kept is None) or (fresh is not None), "who may go on listening may read"
            if fresh is None:
                continue
            if kept is not None:
                assert plain(kept) == plain(fresh)
            else:
                self.clients[person] = fresh.copy()
            self.history.setdefault(person, {})[self.position] = fresh

    def replay(self) -> None:
        """From every earlier read, and doubled onto the newest one."""
        for person, reads in self.history.items():
            newest = self.read(person)
            assert newest is not None
            for offset, read in reads.items():
                for start in (read.copy(), newest.copy()):
                    for number, event, payload, _ in self.events(offset, person):
                        start.apply(number, event, payload)
                    assert plain(start) == plain(newest)


def plain(state: ClientState) -> tuple[Any, ...]:
    return (state.conversation, state.messages, state.participants)


@pytest.fixture(scope="module")
def people(postgres: EmbeddedPostgres) -> Iterator[Connection]:
    """A database in which four people have accounts."""
    with (
        migrated_database(postgres) as conninfo,
        psycopg.connect(conninfo, autocommit=True, row_factory=tuple_row) as connection,
    ):
        for number, person in enumerate(PEOPLE):
            connection.execute(
                "INSERT INTO roost.users (id, email, password_hash)"
                " VALUES (%s, %s, '$argon2id$v=19$x')",
                [person, f"{number}@example.com"],
            )
        yield connection


@pytest.mark.parametrize("seed", range(10))
def test_events_and_reads_agree(people: Connection, seed: int) -> None:
    world = World(people)
    for step in steps(seed, 50):
        world.do(step)
        world.look()
    world.replay()
