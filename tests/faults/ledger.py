"""What writers were answered and what listeners were sent, put side by side as it comes."""

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

# After so many the rest says nothing new.
MOST_PROBLEMS = 20


class Answered(NamedTuple):
    """What a server said that it has taken in, for an id that the writer made."""

    topic: str
    offset: int
    number: int


class Event(NamedTuple):
    """A stored event: what is the same for whoever hears it."""

    id: str
    digest: bytes


def digest(event: str, payload: Any) -> bytes:
    """Of an event's name and payload, whatever the order and the spaces of its JSON."""
    text = orjson.dumps([event, payload], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).digest()


@dataclass(slots=True)
class Ledger:
    """
    problems -- promises that were broken, in words
    answered -- by the id that the writer made
    newest -- offset of the newest event of a topic that a writer was answered
    events -- by topic and offset, as the first listener had them
    deliveries -- events taken by listeners, and how many of them they asked for once more
    refusals -- answers to writers and joins that stand for "try again", by code
    cuts -- connections of listeners that ended, by the reason
    longest_lag -- seconds from the answer to a writer until a listener that was live had the event,
        by what went on when it was answered
    """

    problems: list[str] = field(default_factory=list)
    answered: dict[str, Answered] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    events: dict[str, dict[int, Event]] = field(default_factory=dict)
    deliveries: int = 0
    repeats: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    longest_lag: dict[str, float] = field(default_factory=dict)
    goes_on: str = "start"
    _answered_at: dict[tuple[str, int], tuple[float, str]] = field(default_factory=dict)

    def problem(self, words: str) -> None:
        """Notes that a promise was broken."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"{words} ({self.goes_on})")

    def was_answered(self, message_id: str, answered: Answered) -> None:
        """A writer knows that what it wrote is there."""
        topic, offset, _ = answered
        self.answered[message_id] = answered
        self.newest[topic] = max(offset, self.newest.get(topic, 0))
        self._answered_at[topic, offset] = (time.monotonic(), self.goes_on)

    def heard(self, who: str, topic: str, offset: int, event: Event, *, live: bool) -> None:
        """A listener has an event, which has to be the one that the others have."""
        known = self.events.setdefault(topic, {}).setdefault(offset, event)
        if known != event:
            self.problem(f"{who} has another event {offset} of {topic} than somebody else")
        self.deliveries += 1
        if live and (topic, offset) in self._answered_at:
            at, while_ = self._answered_at[topic, offset]
            lag = time.monotonic() - at
            self.longest_lag[while_] = max(lag, self.longest_lag.get(while_, 0.0))
