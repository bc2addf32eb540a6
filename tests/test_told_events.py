"""What a server has written itself it need not read: the event comes with the news of it. Nothing
is lost, doubled or reordered by that, whatever comes in which order.
"""

import itertools
from collections.abc import AsyncIterator

import pytest

from roost.database.pipeline import Statement
from roost.realtime import fanout, relay
from tests.relaying import Database, Node, Person, Phone, eventually, running_node
from tests.support import connect

PUBLISH = Statement(
    b"SELECT realtime.publish($1::text, $2::text, $3::json, NULL, $4::text),"
    b" pg_catalog.current_setting('roost.touched', true)"
)


@pytest.fixture(autouse=True)
def without_safety_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the slow poll would repair in the end is to be right without it."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600.0)


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with await connect(database) as connection:
        yield Database(connection)


@pytest.fixture
async def node(database: str) -> AsyncIterator[Node]:
    async with running_node(database) as node:
        yield node


@pytest.fixture
async def ada(db: Database) -> Person:
    # The server may publish what it likes, for the tests.
    await db.run(
        "GRANT EXECUTE ON FUNCTION"
        " realtime.publish(text, text, json, bigint, text, text, bigint) TO roost_gateway"
    )
    return await db.person()


@pytest.fixture
async def phone(node: Node, ada: Person) -> Phone:
    return await (await node.phone(ada)).joined(ada.own_device)


async def told(
    node: Node,
    topic: str,
    payload: str = "{}",
    event: str = "note.made",
    revokes: str | None = None,
) -> str:
    """Publishes as a call of the server does, and answers what the server is told."""
    ((_, touched),) = await node.multiplexer.call(
        PUBLISH,
        (
            topic.encode(),
            event.encode(),
            payload.encode(),
            None if revokes is None else revokes.encode(),
        ),
        None,
    )
    return (touched or b"").decode()


async def without_reading(db: Database) -> None:
    """From now on the log can't be read."""
    await db.run(
        "REVOKE EXECUTE ON FUNCTION realtime.read_events(text[], bigint[], integer, integer)"
        " FROM roost_gateway"
    )


async def test_what_was_told_is_not_read(
    node: Node, db: Database, ada: Person, phone: Phone
) -> None:
    await without_reading(db)
    for number in range(3):
        node.relay.wake(await told(node, ada.own_device, f'{{"number": {number}}}'))
    events = await phone.events(3)
    stored = await db.run(
        "SELECT id::text, event_offset, epoch FROM realtime.events, realtime.log ORDER BY 2"
    )
    assert [event["payload"] for event in events] == [{"number": number} for number in range(3)]
    assert [tuple(event["meta"].values()) for event in events] == stored


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_answers_in_any_order(
    node: Node, ada: Person, phone: Phone, order: tuple[int, ...]
) -> None:
    lines = [await told(node, ada.own_device) for _ in range(3)]
    for number in order:
        node.relay.wake(lines[number])
    assert await phone.offsets(3) == [1, 2, 3]
    # Told late, and once more.
    for line in lines:
        node.relay.wake(line)
    node.relay.wake(await told(node, ada.own_device))
    assert await phone.offsets(1) == [4]
    await phone.is_answered()


async def test_a_gap_is_filled_from_the_log(
    node: Node, db: Database, ada: Person, phone: Phone
) -> None:
    await db.without_notice()
    await db.publish(ada.own_device)
    node.relay.wake(await told(node, ada.own_device))
    assert await phone.offsets(2) == [1, 2]


async def test_other_news_is_looked_for_beside_it(
    node: Node, db: Database, ada: Person, phone: Phone
) -> None:
    line = await told(node, ada.own_device)
    await db.without_notice()
    await db.publish(ada.own_device)
    # All in one turn of the loop.
    node.relay.wake(line)
    node.relay.look_at_everything()
    assert await phone.offsets(2) == [1, 2]


@pytest.mark.parametrize(
    "payload", ['{"text": "%s"}' % ("x" * 5_000), '{"text":\n1}', '{"text":\t1}'], ids=str.__len__
)
async def test_what_is_not_told_is_read(
    node: Node, ada: Person, phone: Phone, payload: str
) -> None:
    line = await told(node, ada.own_device, payload)
    assert line == ada.own_device
    node.relay.wake(line)
    assert await phone.offsets(1) == [1]


async def test_a_right_ends_with_what_was_told(node: Node, db: Database, ada: Person) -> None:
    topic = f"conversation:{await db.conversation(await db.person(), ada)}"
    phone = await (await node.phone(ada)).joined(topic)
    node.relay.wake(await told(node, topic))
    node.relay.wake(await told(node, topic, event="participant.removed", revokes=ada.user_id))
    node.relay.wake(await told(node, topic))
    assert await phone.offsets(2) == [1, 2]
    await phone.is_ended(topic, "RO401")
    await phone.is_answered()


async def test_ephemeral_events_stay_behind_it(node: Node, ada: Person, phone: Phone) -> None:
    lines = [await told(node, ada.own_device) for _ in range(2)]
    # The second can't be passed on before the first, which the log has.
    node.relay.wake(f"{lines[1]}\n~{ada.own_device}\tmoved\t{{}}")
    events = await phone.events(3)
    assert [event["event"] for event in events] == ["note.made", "note.made", "moved"]


async def test_what_is_told_of_another_log_is_not_believed(
    node: Node, db: Database, ada: Person, phone: Phone
) -> None:
    line = await told(node, ada.own_device, '{"text": "right"}')
    (epoch,) = (await db.run("SELECT epoch FROM realtime.log"))[0]
    node.relay.wake(line.replace(epoch, "another").replace("right", "wrong"))
    ((event,)) = await phone.events(1)
    assert event["payload"] == {"text": "right"}
    assert event["meta"]["epoch"] == epoch


async def test_other_servers_read_it(node: Node, database: str, ada: Person, phone: Phone) -> None:
    async with running_node(database) as other:
        there = await (await other.phone(ada)).joined(ada.own_device)
        for _ in range(3):
            node.relay.wake(await told(node, ada.own_device))
        assert await phone.offsets(3) == await there.offsets(3) == [1, 2, 3]


async def test_many_share_a_turn(
    node: Node, db: Database, ada: Person, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the first there is a pause, in which the others gather."""
    monkeypatch.setattr(fanout, "PAUSE_FACTOR", 1e9)
    monkeypatch.setattr(fanout, "LONGEST_PAUSE", 0.3)
    await without_reading(db)
    before = node.relay.counters.wake_to_write.buckets()[-1][1]
    for _ in range(20):
        node.relay.wake(await told(node, ada.own_device))
    assert await phone.offsets(20) == list(range(1, 21))
    await eventually(lambda: node.relay.counters.events == 20)
    assert node.relay.counters.wake_to_write.buckets()[-1][1] - before < 20
