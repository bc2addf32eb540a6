"""What people want to get on which device: rules of theirs that the database keeps."""

from enum import StrEnum
from typing import Final

import orjson

from roost.realtime.log import Event

# Events have few names, and of the topics only those matter that a rule names: so many decisions
# are remembered.
MOST_REMEMBERED: Final = 200


class Delivery(StrEnum):
    """How an event is delivered: as it is, marked as silent, or not at all."""

    ALL = "all"
    SILENT = "silent"
    NONE = "none"


class Rules:
    """The rules of a person for a device, in the order in which they decide.

    Source: realtime.get_subscriptions()
    """

    __slots__ = ("_remembered", "_rules", "_topics")

    def __init__(self, answer: bytes) -> None:
        self._rules: list[tuple[str | None, str | None, Delivery]] = [
            (rule["topic"], rule["event"], Delivery(rule["delivery"]))
            for rule in orjson.loads(answer)
        ]
        self._topics = frozenset(topic for topic, _, _ in self._rules if topic is not None)
        self._remembered: dict[tuple[str | None, str], Delivery] = {}

    @classmethod
    def read(cls, answer: bytes | None) -> "Rules | None":
        """None where there are none, which is the same and costs nothing."""
        return None if answer is None or answer == b"[]" else cls(answer)

    def decide(self, topic: str, event: str) -> Delivery:
        """What the first rule says that is about an event; without one it is delivered."""
        key = (topic if topic in self._topics else None, event)
        delivery = self._remembered.get(key)
        if delivery is None:
            delivery = next(
                (
                    delivery
                    for rule_topic, rule_event, delivery in self._rules
                    if rule_topic in (None, topic) and _is_about(rule_event, event)
                ),
                Delivery.ALL,
            )
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = delivery
        return delivery

    def decide_stored(self, event: Event) -> Delivery:
        """The end of a right is told in any case."""
        delivery = self.decide(event.topic, event.event)
        return Delivery.ALL if delivery is Delivery.NONE and event.revokes else delivery


def _is_about(rule: str | None, event: str) -> bool:
    return rule is None or rule == event or (rule.endswith(".*") and event.startswith(rule[:-1]))
