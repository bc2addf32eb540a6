"""What a client asks for when it joins a topic, and what the database answers.

An inbox is resumed from the offsets of the topics that are heard in it. Of those that nothing has
come from the client has none; what it has of them is everything up to its first join, and that is
what the token of a join stands for (realtime.snapshot_token).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import orjson

from roost.database.pipeline import Identity, Multiplexer
from roost.database.queries import JOIN_TOPIC
from roost.realtime.presence import PresenceRequest, read_key
from roost.realtime.refusals import refused
from roost.realtime.subscriptions import Rules
from roost.tokens import Claims

_PREFIX: Final = "realtime:"

# Of PostgreSQL's bigint.
GREATEST_OFFSET: Final = 2**63 - 1

# The year 9999 in milliseconds, well within what PostgreSQL can say.
_LATEST_TIME: Final = 253_370_764_800_000

# Supabase replays at most 25 events, and as many where no limit is given.
DEFAULT_REPLAY_LIMIT: Final = 25
MOST_REPLAYED: Final = 1_000

# How tokens look (realtime.read_snapshot_token).
RESUME: Final = r"[0-9]{1,18}(?:\.[0-9]{1,18}){0,16}"
_RESUME: Final = re.compile(RESUME)


def topic_name(joined_name: str) -> str:
    """The topic behind a joined name: "realtime:user:1" joins user:1. Raises RoostError."""
    name = joined_name.removeprefix(_PREFIX)
    if name == joined_name or not name or not name.isprintable():
        raise refused(
            "TopicNameRequired",
            "The channel names no topic.",
            "Join realtime:conversation:<id>, realtime:workspace:<id>, realtime:user:<id> or"
            " realtime:device:<id>.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Replay:
    """What a client has, or wants of what was; by default nothing, which goes live at once.

    after -- replay the events after this offset
    epoch -- of the log that the offsets are from, where the client knows it
    positions -- in an inbox: the same for the topics that are heard in it
    resume -- the token of the join from which on the client has heard them: what it was sent of
        any is among the positions
    since, limit -- replay the newest `limit` events that are not older than this, in Unix time
    acknowledged -- go on from what the device has acknowledged
    """

    after: int | None = None
    epoch: str | None = None
    positions: Mapping[str, int] | None = None
    since: float | None = None
    limit: int | None = None
    acknowledged: bool = False
    resume: str | None = None


class Grant(NamedTuple):
    """What the database answers when it allows a topic.

    newest -- offset of the topic's newest event
    epoch -- of the log
    visible_after -- the caller may see nothing of offsets up to this one; 0 where they may see all
    replay_after -- replay the events after this offset; None goes live at once
    is_gone -- what follows that is gone: it goes live at once, too
    rules -- what the person wants to get on the device; None for everything
    resume -- of an inbox: the token of this moment
    """

    topic: str
    newest: int
    epoch: str
    visible_after: int
    replay_after: int | None
    is_gone: bool
    rules: Rules | None
    resume: str | None

    @property
    def begin(self) -> int:
        """Offset behind which to begin to deliver."""
        return self.newest if self.replay_after is None or self.is_gone else self.replay_after


def lacking(grants: Iterable[Grant]) -> dict[str, int]:
    """Of an inbox and what is heard in it, the topics of which the client lacks something, and the
    offsets up to which it has them. Of the others it has all that the token stands for.
    """
    return {
        grant.topic: grant.replay_after
        for grant in grants
        if grant.replay_after is not None and grant.replay_after != grant.newest
    }


async def ask_to_join(
    multiplexer: Multiplexer, claims: Claims, topic: str, replay: Replay
) -> list[Grant]:
    """Asks the database for a topic: its grant and, for an inbox, those of all that is heard in it.

    Raises DatabaseError, DatabaseUnavailable.
    """
    rows = await multiplexer.call(
        JOIN_TOPIC,
        (
            topic.encode(),
            None if replay.after is None else b"%d" % replay.after,
            None if replay.epoch is None else replay.epoch.encode(),
            None if replay.positions is None else orjson.dumps(replay.positions),
            None if replay.since is None else repr(replay.since).encode(),
            None if replay.limit is None else b"%d" % replay.limit,
            b"t" if replay.acknowledged else b"f",
            None if replay.resume is None else replay.resume.encode(),
        ),
        Identity(b"user", None if claims.session_id is None else claims.session_id.encode()),
    )
    # Only replay_after, subscriptions and resume may be NULL.
    return [
        Grant(
            (name or b"").decode(),
            int(newest or 0),
            (epoch or b"").decode(),
            int(visible_after or 0),
            None if replay_after is None else int(replay_after),
            is_gone == b"t",
            Rules.read(subscriptions),
            None if resume is None else resume.decode(),
        )
        for name, newest, epoch, visible_after, replay_after, is_gone, subscriptions, resume in rows
    ]


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """
    access_token -- who is joining; None stands for the key that the socket was opened with
    confirm -- say when the channel is live ("replication_ready" of Supabase's clients)
    acknowledges, echoes -- each broadcast of the client is answered, and comes back to it ("ack"
        and "self")
    """

    access_token: str | None
    replay: Replay
    confirm: bool
    acknowledges: bool
    echoes: bool
    presence: PresenceRequest

    @classmethod
    def read(cls, payload: dict[str, Any]) -> Self:
        """Reads and checks the payload of phx_join. Raises RoostError."""
        config = _section(payload, "config")
        broadcast = _section(config, "broadcast")
        if not _flag(config.get("private")):
            raise refused(
                "PrivateOnly",
                "This server has private channels only.",
                "Join with config: {private: true}.",
            )
        if any(binding is not None for binding in _list(config, "postgres_changes")):
            raise refused(
                "PostgresChangesNotServed",
                "This server does not send changes of tables.",
                'Leave out postgres_changes, and listen for "broadcast": what happens in a topic'
                " comes as its events.",
            )
        presence = _section(config, "presence")
        return cls(
            # Older clients say user_token.
            access_token=_text(payload, "access_token") or _text(payload, "user_token"),
            replay=_replay(broadcast),
            confirm=_flag(broadcast.get("replication_ready")),
            acknowledges=_flag(broadcast.get("ack")),
            echoes=_flag(broadcast.get("self")),
            presence=PresenceRequest(read_key(presence.get("key")), _flag(presence.get("enabled"))),
        )


def _replay(broadcast: dict[str, Any]) -> Replay:
    if broadcast.get("replay") is None:
        return Replay()
    replay = _section(broadcast, "replay")
    if _flag(replay.get("acknowledged")):
        return Replay(acknowledged=True)
    if replay.get("since") is not None and not replay.keys() & {"after", "topics", "resume"}:
        # As Supabase's clients send it; milliseconds.
        return Replay(
            since=_whole(replay, "since", 0, _LATEST_TIME) / 1000,
            limit=min(
                DEFAULT_REPLAY_LIMIT
                if replay.get("limit") is None
                else _whole(replay, "limit", 1, GREATEST_OFFSET),
                MOST_REPLAYED,
            ),
        )
    epoch, resume = _text(replay, "epoch"), _text(replay, "resume")
    if resume is not None and (epoch is None or not _RESUME.fullmatch(resume)):
        raise _unable("resume is not what the reply to a join said, or is without its epoch.")
    positions = None
    if replay.get("topics") is not None:
        topics = _section(replay, "topics")
        positions = {name: _whole(topics, name, 0, GREATEST_OFFSET) for name in topics}
    elif "after" not in replay and resume is None:
        raise _unable(None)
    return Replay(
        after=None
        if replay.get("after") is None and not (positions is None and resume is None)
        else _whole(replay, "after", 0, GREATEST_OFFSET),
        epoch=epoch,
        positions=positions,
        resume=resume,
    )


def _whole(parent: dict[str, Any], name: str, least: int, most: int) -> int:
    value = parent.get(name)
    if type(value) is not int or not least <= value <= most:
        raise _unable(f"{name} is not a whole number from {least} to {most}.")
    return value


def _unable(details: str | None) -> Exception:
    return refused(
        "UnableToReplayMessages",
        "A replay begins after an offset, or at a time.",
        "Send config.broadcast.replay as {after: <offset of the last event that you have, or 0"
        " for all>}, with the epoch that came with it, and in an inbox topics: {<topic>: <offset>}"
        " and resume, as the reply to the join said it; as {acknowledged: true}, to go on from"
        " what this device has acknowledged; or as"
        " {since: <milliseconds>, limit: <number>}.",
        details,
    )


def read_query(query: Mapping[str, str]) -> Replay:
    """The same as config.broadcast.replay from the query of an address. Raises RoostError."""
    replay: dict[str, Any] = {
        name: int(value) if value.isdecimal() and len(value) < 20 else value
        for name, value in query.items()
        if name in ("after", "since", "limit", "acknowledged")
    }
    if not replay and "resume" not in query:
        return Replay()
    for name in ("epoch", "resume"):
        if name in query:
            replay[name] = query[name]
    return _replay({"replay": replay})


def _section(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong_type(name, "an object")
    return value


def _list(parent: dict[str, Any], name: str) -> list[Any]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong_type(name, "a list")
    return value


def _text(parent: dict[str, Any], name: str) -> str | None:
    value = parent.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _wrong_type(name, "a string")


def _flag(value: Any) -> bool:
    # Some clients send booleans as text.
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _wrong_type(name: str, expected: str) -> Exception:
    return refused(
        "MalformedJoin",
        f"{name} is not {expected}.",
        f"Send {name} as {expected}, or leave it out.",
    )
