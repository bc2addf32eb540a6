"""Those who write: each thing under an id of their own, sent again until it is answered."""

import asyncio
import math
import random
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.faults.ledger import Answered, Ledger
from tests.faults.servers import Server
from tests.relaying import Person

# Seconds that a writer waits for an answer.
PATIENCE = 2.0

# How often a writer goes to the other server of its own accord.
CHANGES_SERVER = 0.02

# Status of an answer after which the same is sent again: the server stands in the way, not what was
# sent. 500 is not among them: nobody may meet it.
AGAIN = frozenset({429, 502, 503, 504})


class Writer(ABC):
    """
    function, offset_name -- what it calls, and where the result has the offset
    number -- things written and answered
    most -- after so many it is done
    """

    function: str
    offset_name: str

    def __init__(
        self, person: Person, topic: str, servers: Sequence[Server], ledger: Ledger, pause: float
    ) -> None:
        """pause -- seconds between an answer and the next thing"""
        self.number = 0
        self.most = math.inf
        self.topic = topic
        self._person = person
        self._servers = servers
        self._server = random.choice(servers)
        self._ledger = ledger
        self._pause = pause

    async def run(self, http: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        """Writes until it is to stop or done; what it has begun with, it has answered."""
        while self.number < self.most and not stop.is_set():
            await self._write(http, str(uuid.uuid4()))
            await asyncio.sleep(self._pause)

    async def _write(self, http: aiohttp.ClientSession, message_id: str) -> None:
        body = self._body(message_id, self.number)
        if random.random() < CHANGES_SERVER:
            self._server = self._other_server()
        while True:
            result = await self._ask(http, self._server, body)
            if result is not None:
                offset = result[self.offset_name]
                answered = Answered(self.topic, offset, self.number)
                self._ledger.was_answered(message_id, answered)
                self.number += 1
                return
            self._server = self._other_server()
            await asyncio.sleep(random.uniform(0.02, 0.1))

    def _other_server(self) -> Server:
        return random.choice([one for one in self._servers if one is not self._server])

    async def _ask(
        self, http: aiohttp.ClientSession, server: Server, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The result; None when nothing is known of what happened."""
        try:
            async with (
                asyncio.timeout(PATIENCE),
                http.post(
                    f"{server.url}/rpc/{self.function}",
                    json=body,
                    headers={"Authorization": f"Bearer {self._person.token()}"},
                ) as answer,
            ):
                result: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._ledger.refusals[type(error).__name__] += 1
            return None
        if answer.status == 200:
            return result
        self._ledger.refusals[str(result.get("code"))] += 1
        if answer.status not in AGAIN:
            self._ledger.problem(f"{self.function} was answered {answer.status}: {result}")
        return None

    @abstractmethod
    def _body(self, message_id: str, number: int) -> dict[str, Any]:
        """The arguments of the call."""


class MessageWriter(Writer):
    """Sends messages to a conversation. filling -- bytes of each"""

    function = "send_message"
    offset_name = "seq"

    def __init__(
        self,
        person: Person,
        topic: str,
        servers: Sequence[Server],
        ledger: Ledger,
        pause: float,
        filling: int = 100,
    ) -> None:
        super().__init__(person, topic, servers, ledger, pause)
        self._filling = "x" * filling

    def _body(self, message_id: str, number: int) -> dict[str, Any]:
        return {
            "conversation_id": self.topic.removeprefix("conversation:"),
            "id": message_id,
            "message_type": "count",
            "content": {"number": number, "filling": self._filling},
        }


class EventWriter(Writer):
    """Publishes events of an application."""

    function = "publish_event"
    offset_name = "offset"

    def _body(self, message_id: str, number: int) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "event": "note.made",
            "payload": {"number": number, "id": message_id},
            "id": message_id,
        }
