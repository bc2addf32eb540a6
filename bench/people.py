"""Many people at once, each signed in on a device: in the database, since to sign them up one by
one would take a password's hash for each.
"""

import uuid
from dataclasses import dataclass
from typing import Final

import psycopg

from roost.tokens import AccessTokens

# What the server has to have as ROOST_JWT_SECRET.
SECRET: Final = "0123456789abcdef0123456789abcdef"

LIFETIME_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in, with the conversation that they are in."""

    user_id: str
    session_id: str
    token: str
    conversation_id: str

    @property
    def topic(self) -> str:
        """Of the conversation."""
        return f"conversation:{self.conversation_id}"

    @property
    def inbox(self) -> str:
        """In which they hear the conversation too."""
        return f"user:{self.user_id}"


def people(conninfo: str, count: int, *, in_each: int) -> list[Person]:
    """So many new people, so many of them in each conversation."""
    tokens = AccessTokens(SECRET, LIFETIME_SECONDS)
    made = []
    devices = []
    for number in range(count):
        if number % in_each == 0:
            conversation_id = str(uuid.uuid4())
        user_id, session_id, device_id = (str(uuid.uuid4()) for _ in range(3))
        token, _ = tokens.issue(
            user_id=user_id,
            session_id=session_id,
            device_id=device_id,
            email=f"{user_id}@example.com",
        )
        made.append(Person(user_id, session_id, token, conversation_id))
        devices.append(device_id)
    values = [
        [person.user_id for person in made],
        devices,
        [person.session_id for person in made],
        [person.conversation_id for person in made],
    ]
    # In one transaction: who owns a conversation is looked at when it ends.
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE person ON COMMIT DROP AS"
            " SELECT * FROM ROWS FROM (unnest(%s::uuid[]), unnest(%s::uuid[]), unnest(%s::uuid[]),"
            " unnest(%s::uuid[])) WITH ORDINALITY"
            " AS person (user_id, device_id, session_id, conversation_id, number)",
            values,
        )
        connection.execute(
            "INSERT INTO roost.users (id, email, password_hash)"
            " SELECT user_id, user_id || '@example.com',"
            " '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g' FROM person"
        )
        connection.execute(
            "INSERT INTO roost.devices (id, user_id) SELECT device_id, user_id FROM person"
        )
        connection.execute(
            "INSERT INTO roost.sessions (id, user_id, device_id, refresh_token_hash, expires_at)"
            " SELECT session_id, user_id, device_id, sha256(session_id::text::bytea),"
            " now() + interval '1 day' FROM person"
        )
        connection.execute(
            "INSERT INTO roost.conversations (id, user_id)"
            " SELECT DISTINCT ON (conversation_id) conversation_id, user_id FROM person"
            " ORDER BY conversation_id, number"
        )
        connection.execute(
            "INSERT INTO roost.conversation_participants (conversation_id, user_id, role)"
            " SELECT conversation_id, user_id, CASE"
            " WHEN row_number() OVER (PARTITION BY conversation_id ORDER BY number) = 1"
            " THEN 'owner' ELSE 'member' END::roost.participant_role FROM person"
        )
    with psycopg.connect(conninfo, autocommit=True) as connection:
        # Not in the middle of a measurement.
        connection.execute("VACUUM (ANALYZE)")
    return made
