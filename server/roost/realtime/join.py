"""What a client asks for when it joins a channel: topic and payload of phx_join."""

from dataclasses import dataclass
from typing import Any, Final, Self

from roost.realtime.refusals import refused

_PREFIX: Final = "realtime:"

# Of PostgreSQL's bigint.
_GREATEST_OFFSET: Final = 2**63 - 1


def topic_name(joined_name: str) -> str:
    """The topic behind a joined name: "realtime:user:1" joins user:1. Raises RoostError."""
    name = joined_name.removeprefix(_PREFIX)
    if name == joined_name or not name or not name.isprintable():
        raise refused(
            "TopicNameRequired",
            "The channel names no topic.",
            "Join realtime:conversation:<id>, realtime:user:<id> or realtime:device:<id>.",
        )
    return name


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """
    access_token -- who is joining; None stands for the key that the socket was opened with
    after -- replay the events after this offset, then go live; None goes live at once
    epoch -- of the log that the offset is from, where the client knows it
    confirm -- say when the channel is live ("replication_ready" of Supabase's clients)
    """

    access_token: str | None
    after: int | None
    epoch: str | None
    confirm: bool

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
        if _flag(_section(config, "presence").get("enabled")):
            raise refused(
                "PresenceNotServed",
                "This server does not serve presence.",
                "Join with presence: {enabled: false}, without listeners for presence.",
            )
        after, epoch = _replay(broadcast)
        return cls(
            # Older clients say user_token.
            access_token=_text(payload, "access_token") or _text(payload, "user_token"),
            after=after,
            epoch=epoch,
            confirm=_flag(broadcast.get("replication_ready")),
        )


def _replay(broadcast: dict[str, Any]) -> tuple[int | None, str | None]:
    if broadcast.get("replay") is None:
        return None, None
    replay = _section(broadcast, "replay")
    after = replay.get("after")
    if type(after) is not int or not 0 <= after <= _GREATEST_OFFSET:
        raise refused(
            "UnableToReplayMessages",
            "A replay begins after an offset.",
            "Send config.broadcast.replay as {after: <offset of the last event that you have, or 0"
            " for all>}, with the epoch that came with it.",
            None if after is None else "after is not a whole number from 0 to 2^63 - 1.",
        )
    return after, _text(replay, "epoch")


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
