"""Accounts, and the sessions that people have on them, over real sockets."""

from typing import Any

import pytest

from tests.serving import Client

EMAIL = "ada@example.com"


async def test_an_account_is_read_and_changed(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    before = await grace.ask("get_me")

    await ada.ask("update_me", preferences={"theme": "dark", "density": "high"})
    changed = await ada.ask(
        "update_me",
        display_name="Ada",
        preferences={"density": None, "sound": False},
        security_settings={"alerts": True},
    )

    assert (changed["id"], changed["email"], changed["display_name"]) == (ada.user_id, EMAIL, "Ada")
    # Merged by key; null removes one.
    assert changed["preferences"] == {"theme": "dark", "sound": False}
    assert changed["security_settings"] == {"alerts": True}
    assert await ada.ask("get_me") == changed
    assert "password" not in str(changed)
    assert await grace.ask("get_me") == before


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"display_name": "x" * 101}, "at most 100 characters"),
        ({"preferences": []}, "JSON object"),
        ({"security_settings": {"x": "y" * 70_000}}, "64 KiB"),
    ],
)
async def test_unfit_changes_are_refused(
    client: Client, arguments: dict[str, Any], hint: str
) -> None:
    ada = await client.sign_up()
    before = await ada.ask("get_me")

    answer = await ada.call("update_me", **arguments)

    assert (answer.status, answer.body["code"]) == (400, "23514")
    assert hint in answer.body["hint"]
    assert await ada.ask("get_me") == before


async def test_sessions_are_listed_for_their_person(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    second = await client.sign_in(EMAIL)

    listed = await second.ask("list_sessions")

    assert [(row["device_id"], row["current"]) for row in listed] == [
        (second.device_id, True),
        (ada.device_id, False),
    ]
    newest, oldest = (row["id"] for row in listed)
    page = await second.ask("list_sessions", page_size=1)
    rest = await second.ask("list_sessions", before_id=newest)
    assert [row["id"] for row in page + rest] == [newest, oldest]
    assert [row["device_id"] for row in await grace.ask("list_sessions")] == [grace.device_id]


async def test_a_session_is_revoked_by_its_person_alone(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    second = await client.sign_in(EMAIL)
    session_id = (await ada.ask("list_sessions"))[1]["id"]

    refused = await grace.call("revoke_session", session_id=session_id)
    assert (refused.status, refused.body["code"]) == (404, "RO201")
    assert (await ada.call("get_me")).status == 200

    revoked = await second.ask("revoke_session", session_id=session_id)
    assert (revoked["device_id"], revoked["current"]) == (ada.device_id, False)
    assert revoked["revoked_at"] is not None
    over = await ada.call("get_me")
    assert (over.status, over.body["code"]) == (401, "RO102")
    assert [row["device_id"] for row in await second.ask("list_sessions")] == [second.device_id]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("get_me", {}),
        ("update_me", {"display_name": "Ada"}),
        ("list_sessions", {}),
        ("revoke_session", {"session_id": "00000000-0000-7000-8000-000000000000"}),
    ],
)
async def test_nobody_has_no_account(
    client: Client, function: str, arguments: dict[str, Any]
) -> None:
    answer = await client.call(function, **arguments)

    assert (answer.status, answer.body["code"]) == (401, "42501")
    assert answer.body["hint"] == "Sign in first."
