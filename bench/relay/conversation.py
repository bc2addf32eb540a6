"""People in one conversation who all send and all listen: the whole path, from the call of
send_message to every socket.
"""

import json
from typing import Final

from bench.people import SECRET, people
from bench.relay.sizes import ROUNDS, SECONDS
from bench.relay.steady import Post, median_percentile, send_steadily
from bench.results import Row
from bench.servers import database, roost
from bench.sockets import Sockets, numbered

PEOPLE: Final = 100
MESSAGES_PER_SECOND: Final = 50
TEXT_BYTES: Final = 200


def measure() -> list[Row]:
    """The rows."""
    with (
        database() as postgres,
        roost(postgres.conninfo(), ROOST_JWT_SECRET=SECRET) as server,
    ):
        members = people(postgres.conninfo(), PEOPLE, in_each=PEOPLE)

        def post(number: int) -> Post:
            # They take turns.
            sender = members[number % PEOPLE]
            content = {"text": numbered(number, TEXT_BYTES)}
            body = {"conversation_id": sender.conversation_id, "content": content}
            return Post(f"{server.url}/rpc/send_message", json.dumps(body), sender.token)

        joins = [(person.topic, person.token) for person in members]
        with Sockets(server.url, PEOPLE, joins) as sockets:
            rounds = [
                send_steadily(sockets, post, MESSAGES_PER_SECOND, SECONDS) for _ in range(ROUNDS)
            ]
    what = f"{PEOPLE} people in a conversation, {MESSAGES_PER_SECOND} messages/s"
    from_call = [each.from_request for each in rounds]
    from_answer = [each.from_answer for each in rounds]
    return [
        Row(f"{what}: call to socket, median", median_percentile(from_call, 50), "ms"),
        Row(
            f"{what}: call to socket, 99th percentile",
            median_percentile(from_call, 99),
            "ms",
            "< 20",
        ),
        Row(f"{what}: answer to socket, median", median_percentile(from_answer, 50), "ms"),
        Row(f"{what}: answer to socket, 99th percentile", median_percentile(from_answer, 99), "ms"),
    ]
