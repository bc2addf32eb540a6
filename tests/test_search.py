"""Search over real sockets, from two sessions at once, and with pgvector."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, LiteralString

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from tests.locks import wait_for_lock
from tests.serving import Client
from tests.support import REPOSITORY, connect, migrated_database

Serve = Callable[..., AbstractAsyncContextManager[Client]]

# Of several scripts, widths and planes; what means something in a query or a pattern; control
# characters; what marks a match.
ALPHABET = (
    list("abcABC012 \t\n_-./\\:@'\"*|&!()<>[]{}^$+?%#~`=,;")
    + list("éÉßæøıİſﬁ½ªºµ¼东京都ガｶﾞぱ가각한글ㅏйёΣςאבเก्हिं")
    + ["\u0301", "\u0300", "\u3099", "\u1100\u1161", "\u200b", "\u200d", "\u00a0", "\u2028"]
    + ["\ue000", "\ue001", "\ue002", "\ufeff", "\ufffd", "\uffff", "\U0001f600", "\U00020000"]
    + ["\u0001", "\u0002", "\u001f", "\u007f", "\u0085", " or ", " OR ", ' "', "v1.2", "camelCase"]
)


async def found(client: Client, query: str, **arguments: Any) -> list[str]:
    """The texts of what a search finds, best first."""
    answer = await client.ask("search_messages", query=query, **arguments)
    return [hit["message"]["content"]["text"] for hit in answer["results"]]


async def say(client: Client, conversation_id: str, text: str) -> dict[str, Any]:
    sent: dict[str, Any] = await client.ask(
        "send_message", conversation_id=conversation_id, content={"text": text}
    )
    return sent


async def test_a_message_is_found_by_whoever_may_read_it(client: Client) -> None:
    ada, grace, outsider = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace)
    sent = await say(ada, conversation_id, "The deployment is done")

    answer = await grace.ask("search_messages", query="deploy*")

    assert answer == {
        "total": "1",
        "corrections": None,
        "next": None,
        "results": [
            {
                "message": sent,
                "rank": pytest.approx(1, abs=0.1),
                "highlights": [{"field": "text", "start": 4, "length": 10}],
                "snippet": "The \ue000deployment\ue001 is done",
            }
        ],
    }
    assert await found(outsider, "deploy*") == []
    refused = await outsider.call(
        "search_messages", query="deploy*", conversation_id=conversation_id
    )
    assert (refused.status, refused.body["code"]) == (404, "RO201")


async def test_pages_stay_as_they_were_while_messages_arrive(client: Client) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    texts = [f"heron {number} {'heron ' * (number % 3)}" for number in range(12)]
    for text in texts:
        await say(ada, conversation_id, text)

    seen: list[str] = []
    cursor = None
    while True:
        answer = await ada.ask("search_messages", query="heron", page_size=5, cursor=cursor)
        seen += [hit["message"]["content"]["text"] for hit in answer["results"]]
        assert answer["total"] == "12"
        cursor = answer["next"]
        if cursor is None:
            break
        await say(ada, conversation_id, "heron heron heron, the newest")

    assert len(seen) == 12
    assert sorted(seen) == sorted(texts)


def drawn(chance: random.Random, length: int) -> str:
    return "".join(chance.choice(ALPHABET) for _ in range(chance.randrange(1, length)))


async def test_whatever_is_sent_can_be_found(client: Client) -> None:
    """And whatever is looked for is no error; what is marked is where it is said to be."""
    chance = random.Random(2026)
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    await ada.ask("update_conversation", conversation_id=conversation_id, search_language="english")
    texts = [drawn(chance, 60) for _ in range(150)]
    for number, text in enumerate(texts):
        await say(ada, conversation_id, f"{text} heron{number} {text}")

    for number, text in enumerate(texts):
        assert len(await found(ada, f"heron{number}")) == 1
        for query in (text, f"{text}*", f'"{text}"', f"heron{number} OR {text}", drawn(chance, 20)):
            answer = await ada.call("search_messages", query=query, page_size=5)
            assert answer.status in (200, 400), (query, answer)
            if answer.status == 400:
                assert answer.body["code"] == "RO302", (query, answer)
                continue
            for hit in answer.body["results"]:
                check_highlights(hit)


def check_highlights(hit: dict[str, Any]) -> None:
    text = hit["message"]["content"]["text"]
    clean = "".join("\ufffd" if "\ue000" <= letter <= "\ue002" else letter for letter in text)
    snippet = hit["snippet"].removeprefix("…").removesuffix("…")
    plain = snippet.replace("\ue000", "").replace("\ue001", "")
    assert plain in clean
    after = 0
    for mark in hit["highlights"]:
        assert mark["field"] == "text"
        assert mark["start"] >= after
        after = mark["start"] + mark["length"]
        assert mark["length"] > 0
        assert after <= len(text)
    marked = [part.partition("\ue001")[0] for part in snippet.split("\ue000")[1:]]
    for mark, part in zip(hit["highlights"], marked, strict=False):
        whole = clean[mark["start"] : mark["start"] + mark["length"]]
        assert whole.startswith(part)


async def test_large_and_odd_content_can_be_sent(client: Client) -> None:
    chance = random.Random(7)
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    await ada.ask("update_conversation", conversation_id=conversation_id, search_language="english")
    characters = [chr(code) for code in range(0x4E00, 0x9FFF)]
    contents: list[dict[str, Any]] = [
        {"x": "".join(chance.choice(characters) for _ in range(80_000))},
        {"x": " ".join(uuid.uuid4().hex for _ in range(7_000))},
        {"x": "x" * 260_000},
        {"x": "\U0001f600" * 60_000},
        {"x": "aB" * 100_000},
        {"x": ["nested"] * 20_000},
        {"x": "ﷺ" * 20_000},
        {"x": {"y": {"z": [[], {}, None, True, 1e300, "deep pelican"]}}},
        {},
        {"number": 1},
    ]
    for content in contents:
        await ada.ask(
            "send_message", conversation_id=conversation_id, content=content, message_type="app"
        )

    answer = await ada.ask("search_messages", query="pelican")
    assert answer["results"][0]["highlights"] == [{"field": "x.y.z.5", "start": 5, "length": 7}]


def words(chance: random.Random, letters: str, count: int, length: int) -> list[str]:
    return ["".join(chance.choices(letters, k=length)) for _ in range(count)]


async def test_no_query_takes_long(database: str, client: Client) -> None:
    """Each is as long as it may be, finds itself, and has to be found in several languages."""
    chance = random.Random(5)
    ada = await client.sign_up()
    languages = ["english", "german", "russian", "spanish", "french", "italian", "greek", "turkish"]
    for language in languages:
        conversation_id = await ada.open_conversation()
        await ada.ask(
            "update_conversation", conversation_id=conversation_id, search_language=language
        )
    chinese = "".join(chr(code) for code in range(0x4E00, 0x9FFF))
    parts = words(chance, "abcdefgh", 320, 2)
    queries = [
        " ".join(words(chance, "abcdefghij", 64, 14)),
        " OR ".join(words(chance, "αβγδεζηθικλμ", 64, 4)),
        " ".join(words(chance, "abc012βδζηцк가각한" + chinese[:200], 64, 13)),
        " ".join(words(chance, chinese, 64, 14)),
        " ".join(".".join(parts[place : place + 5]) for place in range(0, 320, 5)),
        " ".join(f"aBcDeFgHxY{number}" for number in range(64)),
        ".".join(parts),
        f'"{" ".join(parts)}"',
        "".join(chance.choices(chinese, k=1000)),
        " ".join(f"{word}*" for word in words(chance, "αβγδεζηθικλμ", 64, 2)),
    ]
    for query in queries:
        for number in range(10):
            await say(ada, conversation_id, f"heron {number} {query} {query}")
    async with await connect(database, "roost_user", uuid.UUID(ada.user_id)) as searching:
        # On a machine that has nothing else to do it is a tenth of this.
        await searching.execute("SET statement_timeout = '4s'")
        for query in queries:
            cursor = await searching.execute("SELECT api.search_messages(%s)", [query[:1000]])
            row = await cursor.fetchone()
            assert row is not None
            assert int(row[0]["total"]) >= 10, query


LANGUAGE: LiteralString = """
    UPDATE roost.conversations SET search_language = 'english' WHERE id = %s
"""


async def test_an_edit_waits_for_the_job_and_wins(database: str, client: Client) -> None:
    """The job has read the old text: what the edit writes must come after it."""
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    sent = await say(ada, conversation_id, "an old heron")
    async with (
        await connect(database) as job,
        await connect(database, "roost_user", uuid.UUID(ada.user_id)) as editor,
        await connect(database) as observer,
    ):
        await observer.execute(LANGUAGE, [conversation_id])
        async with job.transaction():
            cursor = await job.execute("SELECT roost.index_messages(10)")
            assert await cursor.fetchone() == (0,)
            edit = asyncio.create_task(
                editor.execute(
                    'SELECT api.edit_message(%s, \'{"text": "a new pelican"}\', 1)', [sent["id"]]
                )
            )
            await wait_for_lock(observer, editor.info.backend_pid)
        await edit

    assert await found(ada, "heron") == []
    assert await found(ada, "pelicans") == ["a new pelican"]


async def test_the_job_passes_by_a_conversation_that_is_written_to(
    database: str, client: Client
) -> None:
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    sent = await say(ada, conversation_id, "an old heron")
    async with (
        await connect(database) as job,
        await connect(database, "roost_user", uuid.UUID(ada.user_id)) as editor,
    ):
        await job.execute(LANGUAGE, [conversation_id])
        async with editor.transaction():
            await editor.execute(
                'SELECT api.edit_message(%s, \'{"text": "two pelicans"}\', 1)', [sent["id"]]
            )
            # Not now: who calls it until it answers 0 would call it all the time.
            cursor = await job.execute("SELECT roost.index_messages(10)")
            assert await cursor.fetchone() == (0,)
            cursor = await job.execute("SELECT count(*) FROM roost.search_queue")
            assert await cursor.fetchone() == (1,)
        cursor = await job.execute("SELECT roost.index_messages(10)")
        assert await cursor.fetchone() == (0,)

    assert await found(ada, "heron") == []
    assert await found(ada, "pelican") == ["two pelicans"]


# Enough that no way through the table is left out: conversations of very different size, words that
# are common, in one conversation alone, and only long ago.
FILL: LiteralString = """
    INSERT INTO roost.users (id, email, password_hash)
    SELECT person_id(step), step || '@example.com', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA'
    FROM generate_series(0, 4) AS step;

    INSERT INTO roost.conversations (id, user_id)
    SELECT conversation_id(step), person_id(0) FROM generate_series(0, 299) AS step;

    INSERT INTO roost.conversation_participants (
        conversation_id, user_id, role, history_after_seq
    )
    SELECT conversation_id(step), person_id(person.number),
        CASE person.number WHEN 0 THEN 'owner' ELSE 'viewer' END::roost.participant_role,
        CASE WHEN person.number = 3 AND step % 2 = 0 THEN 20 ELSE 0 END
    FROM generate_series(0, 299) AS step
    JOIN (VALUES (0, 1, 0), (1, 300, 0), (2, 100, 0), (3, 2, 0), (4, 30, 7))
        AS person (number, every, first) ON step % person.every = person.first;

    INSERT INTO roost.messages (conversation_id, seq, user_id, content, created_at)
    SELECT
        conversation_id(sent.conversation),
        row_number() OVER (PARTITION BY sent.conversation ORDER BY sent.number),
        person_id(0),
        jsonb_build_object('text', concat_ws(
            ' ',
            'every',
            CASE WHEN sent.number % 2 = 0 THEN 'half' END,
            CASE WHEN sent.number % 100 = 0 THEN 'hundredth' END,
            CASE WHEN sent.number % 5000 = 0 THEN 'rare' END,
            CASE WHEN sent.number < 6000 THEN 'early' END,
            CASE WHEN sent.conversation = 7 THEN 'seventh' END
        )),
        timestamptz '2026-01-01 00:00Z' + sent.number * interval '1 minute'
    FROM (
        SELECT step AS number,
            CASE WHEN step % 3 = 0 THEN 0 ELSE step * 7919 % 300 END AS conversation
        FROM generate_series(1, 24000) AS step
    ) AS sent
    ORDER BY sent.number;

    UPDATE roost.conversations AS conversation
    SET last_seq = coalesce(
        (
            SELECT max(message.seq) FROM roost.messages AS message
            WHERE message.conversation_id = conversation.id
        ),
        0
    );
"""

HELPERS: LiteralString = """
    CREATE FUNCTION person_id(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN ('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid;

    CREATE FUNCTION conversation_id(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN ('00000000-0000-7000-9000-' || lpad(number::text, 12, '0'))::uuid;
"""

EXPECTED: LiteralString = """
    SELECT message.conversation_id::text, message.seq
    FROM roost.messages AS message
    JOIN roost.conversation_participants AS participant
        ON participant.conversation_id = message.conversation_id
        AND participant.user_id = person_id(%s)
        AND participant.history_after_seq < message.seq
    WHERE to_tsvector('simple', message.content ->> 'text') @@ websearch_to_tsquery('simple', %s)
        AND (%s::timestamptz IS NULL OR message.created_at >= %s)
        AND (%s::timestamptz IS NULL OR message.created_at < %s)
"""


@pytest.fixture(scope="module")
def filled_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    with migrated_database(postgres) as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute(HELPERS)
            connection.execute(FILL)
            # As if they had been sent before there was a search, a third of them.
            connection.execute("DELETE FROM roost.message_search_index WHERE place <= 8000")
            connection.execute(
                "UPDATE roost.search_history SET messages = 8000,"
                " oldest = '2026-01-01 00:00Z', newest = '2026-01-06 13:20Z'"
            )
            connection.execute(
                "INSERT INTO roost.search_queue SELECT id, last_seq + 1 FROM roost.conversations"
            )
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while connection.execute("SELECT roost.index_messages(5000)").fetchone() != (0,):
                pass
        yield conninfo


# Words of several scripts beside each other, that fold to more or fewer characters, and emoji.
WORDS = [
    *("hello", "world", "office", "oﬃce", "ﬂow", "straße", "camelCase", "HTTPServer", "v1.2.3"),
    *("snake_case", "İstanbul", "Łódź", "e\u0301t\u0301", "か\u3099", "ｶﾞｷﾞ", "日本語", "你好"),
    *(
        "world你好",
        "PostgreSQL",
        "使用PostgreSQL数据库",
        "テスト1",
        "한국어",
        "각",
        "ㄱㅏㄱ",
        "좋아ㅋㅋ",
        "𠮷野家",
        "أحمد",
        "हिन्दी",
        "ё",
        "½",
        "x²",
    ),
    *(
        "👍🏽",
        "great👍",
        "👨\u200d👩\u200d👧",
        "x\ue000y",
        "hel\ue002lo",
        "ﷺ",
        "①②",
        "don't",
        "C++",
    ),
]

HIGHLIGHTED: LiteralString = """
    WITH parsed AS MATERIALIZED (
        SELECT query.* FROM roost.parse_search_query(%(query)s, %(languages)s) AS query
    ),
    marked AS MATERIALIZED (
        SELECT highlighted.o_highlights
        FROM parsed
        CROSS JOIN LATERAL roost.highlight_message(
            jsonb_build_object('text', %(text)s::text), '[]',
            roost.highlight_pattern(parsed.o_terms, %(languages)s), parsed.o_positive,
            %(languages)s
        ) AS highlighted
    )
    SELECT
        roost.search_vector(%(text)s, %(language)s, message, 1) @@ parsed.o_query,
        marked.o_highlights,
        (
            SELECT bool_and(
                roost.search_vector(
                    substr(%(text)s, start + 1, length), %(language)s, message, 1
                ) @@ parsed.o_positive
            )
            FROM jsonb_to_recordset(marked.o_highlights) AS span (start integer, length integer)
        )
    FROM parsed
    CROSS JOIN marked
    CROSS JOIN jsonb_populate_record(
        NULL::roost.messages,
        jsonb_build_object(
            'conversation_id', %(id)s::text, 'user_id', %(id)s::text, 'message_type', 'text',
            'attachments', '[]'::jsonb
        )
    ) AS message
"""


@pytest.mark.parametrize("language", ["simple", "english"])
def test_what_is_found_is_highlighted(database: str, language: str) -> None:
    """Each highlight is in the text, behind the one before, and would be found by itself."""
    numbers = random.Random(language)
    with psycopg.connect(database) as connection:
        for _ in range(400):
            words = numbers.choices(WORDS, k=numbers.randint(1, 5))
            text = numbers.choice([" ", "-", "、", "👍"]).join(words)
            query = numbers.choice([*words, text, *numbers.choices(WORDS, k=3)])
            query = numbers.choice(["{}", "{}", '"{}"', "{}*"]).format(query)
            row = connection.execute(
                HIGHLIGHTED,
                {
                    "query": query,
                    "text": text,
                    "language": language,
                    "id": str(uuid.UUID(int=0)),
                    "languages": [] if language == "simple" else [language],
                },
            ).fetchone()
            assert row is not None
            is_found, highlights, are_matches = row
            assert highlights or not is_found, (query, text)
            assert are_matches is not False, (query, text, highlights)
            end = 0
            for highlight in highlights:
                assert end <= highlight["start"], (query, text, highlights)
                assert highlight["length"] > 0, (query, text, highlights)
                end = highlight["start"] + highlight["length"]
            assert end <= len(text), (query, text, highlights)


@pytest.mark.parametrize("person", range(5))
@pytest.mark.parametrize(
    ("after", "before"),
    [(None, None), ("2026-01-03T00:00Z", "2026-01-05T00:00Z"), (None, "2026-01-02T00:00Z")],
)
@pytest.mark.parametrize(
    "query",
    ["half", "hundredth", "rare", "early", "seventh", "rare or seventh", "half -early", "nothing"],
)
def test_every_way_finds_the_same(
    filled_database: str, person: int, query: str, after: str | None, before: str | None
) -> None:
    """Page by page to the end: what a look at every message finds, each once."""
    with psycopg.connect(filled_database, autocommit=True) as connection:
        expected = connection.execute(
            EXPECTED, [person, query, after, after, before, before]
        ).fetchall()
        connection.execute(
            "SELECT set_config('roost.user_id', person_id(%s)::text, false)", [person]
        )
        connection.execute("SET ROLE roost_user")
        seen: list[tuple[str, int]] = []
        cursor: str | None = None
        totals = set()
        while True:
            row = connection.execute(
                "SELECT api.search_messages("
                "query => %s, sent_after => %s, sent_before => %s, page_size => 200, cursor => %s)",
                [query, after, before, cursor],
            ).fetchone()
            assert row is not None
            seen += [
                (hit["message"]["conversation_id"], hit["message"]["seq"])
                for hit in row[0]["results"]
            ]
            totals.add(row[0]["total"])
            cursor = row[0]["next"]
            if cursor is None:
                break
    assert len(seen) == len(set(seen))
    assert set(seen) == set(expected)
    (total,) = totals
    assert total == str(len(expected)) or (
        total.endswith("+") and int(total[:-1]) <= min(len(expected), 1000)
    )


async def test_without_pgvector_the_cure_is_said(client: Client) -> None:
    ada = await client.sign_up()
    sent = await say(ada, await ada.open_conversation(), "hello")
    for answer in (
        await ada.call("search_messages", query="x", embedding=[1, 0], model="m"),
        await ada.call("set_message_embedding", message_id=sent["id"], model="m", embedding=[1]),
    ):
        assert (answer.status, answer.body["code"]) == (501, "RO501")
        assert "search by meaning" in answer.body["message"]
        assert "CREATE EXTENSION vector" in answer.body["hint"]


async def set_embedding(client: Client, message: dict[str, Any], *embedding: float) -> None:
    await client.ask(
        "set_message_embedding", message_id=message["id"], model="m", embedding=list(embedding)
    )


@pytest.mark.parametrize("schema", ["extensions", "public", 'odd "schema"'])
async def test_searching_by_meaning(database: str, client: Client, schema: str) -> None:
    async with await connect(database) as owner:
        name = psycopg.sql.Identifier(schema)
        await owner.execute(psycopg.sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        await owner.execute(psycopg.sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(name))
        await owner.execute(psycopg.sql.SQL("CREATE EXTENSION vector SCHEMA {}").format(name))
    ada, grace, outsider = [await client.sign_up() for _ in range(3)]
    conversation_id = await ada.open_conversation(grace)
    near = await say(ada, conversation_id, "the machine is tired")
    words = await say(ada, conversation_id, "slow food")
    both = await say(ada, conversation_id, "the server is slow")
    await say(ada, conversation_id, "lunch")
    await set_embedding(ada, near, 1, 0.1, 0)
    await set_embedding(grace, both, 1, 0.2, 0)
    await set_embedding(ada, words, 0, 0, 1)

    meant = {"embedding": [1, 0, 0], "model": "m"}
    assert (await found(grace, "slow", **meant))[0] == "the server is slow"
    assert set(await found(grace, "slow", **meant)) == {
        "the server is slow",
        "the machine is tired",
        "slow food",
    }
    assert await found(grace, "", **meant) == [
        "the machine is tired",
        "the server is slow",
        "slow food",
    ]
    assert await found(grace, "", embedding=[1, 0, 0], model="another") == []
    assert await found(grace, "", embedding=[1, 0], model="m") == []
    assert await found(grace, "", **meant, sent_before="2026-01-01T00:00Z") == []
    assert await found(outsider, "", **meant) == []

    # Last write wins; an edit and a deletion take it away.
    await set_embedding(grace, near, 0, 1, 0)
    assert (await found(grace, "", **meant))[0] == "the server is slow"
    await ada.ask(
        "edit_message", message_id=both["id"], content={"text": "fast"}, based_on_version=1
    )
    await ada.ask("delete_message", message_id=near["id"])
    assert await found(grace, "", **meant) == ["slow food"]

    refused = await outsider.call(
        "set_message_embedding", message_id=words["id"], model="m", embedding=[1]
    )
    assert (refused.status, refused.body["code"]) == (404, "RO201")
    deleted = await ada.call(
        "set_message_embedding", message_id=near["id"], model="m", embedding=[1]
    )
    assert (deleted.status, deleted.body["code"]) == (409, "RO304")
    for wrong in ([], [0, 0], ["x"], None, [1] * 4097):
        answer = await ada.call("search_messages", query="x", embedding=wrong, model="m")
        assert answer.status == 400, wrong
        answer = await ada.call(
            "set_message_embedding", message_id=words["id"], model="m", embedding=wrong
        )
        assert answer.status == 400, wrong


async def test_the_index_of_the_how_to_page_serves(database: str, client: Client) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "search-by-meaning.md").read_text(encoding="utf-8")
    statement = next(part for part in page.split("```") if "USING hnsw" in part)
    ada = await client.sign_up()
    conversation_id = await ada.open_conversation()
    async with (
        await connect(database) as owner,
        await connect(database, "roost_user", uuid.UUID(ada.user_id)) as searching,
    ):
        await owner.execute("CREATE EXTENSION vector SCHEMA extensions")
        await owner.execute(statement.removeprefix("sql").encode())
        for number in range(3):
            sent = await say(ada, conversation_id, str(number))
            await ada.ask(
                "set_message_embedding",
                message_id=sent["id"],
                model="all-minilm-l6-v2",
                embedding=[1.0, float(number)] + [0.0] * 382,
            )
        # There is too little for the planner to want the index by itself.
        await searching.execute("SET enable_seqscan = off")
        await searching.execute("SET enable_sort = off")
        cursor = await searching.execute(
            "SELECT api.search_messages(embedding => %s::real[], model => 'all-minilm-l6-v2')",
            [[1.0, 0.5] + [0.0] * 382],
        )
        row = await cursor.fetchone()
        assert row is not None
        assert [hit["message"]["content"]["text"] for hit in row[0]["results"]] == ["1", "0", "2"]
        await searching.execute("SELECT pg_stat_force_next_flush()")
        await searching.execute("SELECT 1")
        cursor = await owner.execute(
            "SELECT idx_scan FROM pg_stat_user_indexes"
            " WHERE indexrelname = 'message_embeddings_minilm_idx'"
        )
        assert await cursor.fetchone() == (1,)
