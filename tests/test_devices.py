"""Devices and the editor extensions on them, over real sockets."""

from typing import Any

import pytest

from roost.realtime.protocol import Version
from tests.relaying import Phone, join_payload
from tests.serving import Client

EMAIL = "ada@example.com"
NOTHING = "00000000-0000-7000-8000-000000000000"


async def test_devices_are_named_and_listed(client: Client) -> None:
    ada, grace = await client.sign_up(EMAIL), await client.sign_up()
    second = await client.sign_in(EMAIL)

    named = await second.ask(
        "register_device",
        device_name="Laptop",
        device_type="laptop",
        platform="os 1",
        capabilities={"push": True},
    )

    assert (named["id"], named["device_name"]) == (second.device_id, "Laptop")
    assert (named["device_type"], named["platform"]) == ("laptop", "os 1")
    assert (named["capabilities"], named["status"]) == ({"push": True}, "active")
    listed = await second.ask("list_devices")
    assert listed[0] == named
    assert [(row["id"], row["current"]) for row in listed] == [
        (second.device_id, True),
        (ada.device_id, False),
    ]
    page = await second.ask("list_devices", page_size=1)
    rest = await second.ask("list_devices", before_id=named["id"])
    assert page + rest == listed
    assert [row["id"] for row in await grace.ask("list_devices")] == [grace.device_id]


async def test_an_unknown_kind_of_device_is_told_the_known_ones(client: Client) -> None:
    ada = await client.sign_up(EMAIL)

    answer = await ada.call("register_device", device_name="x", device_type="toaster")
    other = await ada.call("revoke_device", device_id="roost.device_type")

    assert (answer.status, answer.body["code"]) == (400, "22P02")
    assert "phone, tablet, laptop" in answer.body["hint"]
    assert "UUID" in other.body["hint"]


async def test_a_session_moves_onto_a_device_that_the_person_has(client: Client) -> None:
    ada = await client.sign_up(EMAIL)
    second = await client.sign_in(EMAIL)

    moved = await second.ask(
        "register_device", device_name="Phone", device_type="phone", device_id=ada.device_id
    )

    # The device that signing in had made is gone: nothing refers to it.
    assert moved["current"] is True
    assert await second.ask("list_devices") == [moved]
    assert {row["device_id"] for row in await second.ask("list_sessions")} == {ada.device_id}


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        ("register_device", {"device_name": "x" * 101, "device_type": "phone"}, "23514"),
        ("register_device", {"device_name": "x", "device_type": "toaster"}, "22P02"),
        ("register_device", {"device_name": None, "device_type": "phone"}, "23502"),
        ("list_devices", {"page_size": 0}, "RO302"),
        ("open_extension_connection", {"editor": ""}, "23514"),
        ("list_extension_connections", {"page_size": 201}, "RO302"),
    ],
)
async def test_unfit_values_are_refused(
    client: Client, function: str, arguments: dict[str, Any], code: str
) -> None:
    ada = await client.sign_up()
    before = await ada.ask("list_devices")

    answer = await ada.call(function, **arguments)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert answer.body["hint"]
    assert await ada.ask("list_devices") == before


async def test_a_revoked_device_is_cut_off(client: Client) -> None:
    """Its sockets close, its session is over; the person's other device goes on."""
    ada = await client.sign_up(EMAIL)
    lost = await client.sign_in(EMAIL)
    connection = await lost.ask("open_extension_connection", editor="vscode")
    async with _socket(client) as lost_socket, _socket(client) as socket:
        phones = []
        for person, ws in ((lost, lost_socket), (ada, socket)):
            phone = Phone(ws, Version.V2, None)
            ref = await phone.send(
                f"realtime:user:{person.user_id}", "phx_join", join_payload(person.token)
            )
            assert (await phone.reply(ref))["status"] == "ok"
            phones.append(phone)

        revoked = await ada.ask("revoke_device", device_id=lost.device_id)

        assert (revoked["id"], revoked["status"]) == (lost.device_id, "revoked")
        assert await phones[0].closed() == 4401
        (event,) = await phones[1].events(1)
        assert (event["event"], event["payload"]["device_id"]) == ("device.revoked", revoked["id"])
        await phones[1].is_answered()

    over = await lost.call("get_me")
    assert (over.status, over.body["code"]) == (401, "RO102")
    assert [row["device_id"] for row in await ada.ask("list_sessions")] == [ada.device_id]
    (closed,) = await ada.ask("list_extension_connections")
    assert (closed["id"], closed["state"]) == (connection["id"], "closed")
    # Once more changes nothing.
    assert await ada.ask("revoke_device", device_id=lost.device_id) == revoked


async def test_an_extension_comes_and_goes(client: Client) -> None:
    ada = await client.sign_up()

    opened = await ada.ask(
        "open_extension_connection", editor="vscode", version="1.2.0", workspace_path="/srv/plans"
    )
    this = {"connection_id": opened["id"]}
    assert (opened["device_id"], opened["state"]) == (ada.device_id, "connected")
    assert (opened["editor"], opened["version"]) == ("vscode", "1.2.0")
    assert opened["workspace_path"] == "/srv/plans"

    idle = await ada.ask("heartbeat_extension_connection", **this, state="idle")
    assert idle["state"] == "idle"
    assert idle["last_heartbeat"] > opened["last_heartbeat"]
    assert await ada.ask("list_extension_connections") == [idle]
    refused = await ada.call("heartbeat_extension_connection", **this, state="closed")
    assert (refused.status, refused.body["code"]) == (400, "RO302")

    closed = await ada.ask("close_extension_connection", **this)
    assert closed["state"] == "closed"
    assert closed["closed_at"] is not None
    assert await ada.ask("close_extension_connection", **this) == closed
    # A heartbeat that comes late does not bring it back.
    late = await ada.call("heartbeat_extension_connection", **this)
    assert (late.status, late.body["code"]) == (404, "RO201")
    newer = await ada.ask("open_extension_connection", editor="vim")
    assert await ada.ask("list_extension_connections") == [newer, closed]
    assert await ada.ask("list_extension_connections", before_id=newer["id"]) == [closed]


async def test_what_is_somebody_elses_is_not_found(client: Client) -> None:
    ada, grace = await client.sign_up(), await client.sign_up()
    connection = await ada.ask("open_extension_connection", editor="vscode")
    devices = await ada.ask("list_devices")

    for function, key, own, others in (
        (
            "register_device",
            "device_id",
            ada.device_id,
            {"device_name": "", "device_type": "phone"},
        ),
        ("revoke_device", "device_id", ada.device_id, {}),
        ("heartbeat_extension_connection", "connection_id", connection["id"], {}),
        ("close_extension_connection", "connection_id", connection["id"], {}),
    ):
        answer = await grace.call(function, **{key: own}, **others)
        unknown = await grace.call(function, **{key: NOTHING}, **others)

        assert (answer.status, answer.body["code"]) == (404, "RO201")
        # No more is to be learnt of it than of one that does not exist.
        assert {**answer.body, "request_id": ""} == {
            **unknown.body,
            "request_id": "",
            "details": unknown.body["details"].replace(NOTHING, own),
        }
    assert await grace.ask("list_extension_connections") == []
    assert await ada.ask("list_extension_connections") == [connection]
    assert await ada.ask("list_devices") == devices


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("list_devices", {}),
        ("register_device", {"device_name": "Phone", "device_type": "phone"}),
        ("revoke_device", {"device_id": NOTHING}),
        ("open_extension_connection", {"editor": "vscode"}),
        ("heartbeat_extension_connection", {"connection_id": NOTHING}),
        ("close_extension_connection", {"connection_id": NOTHING}),
        ("list_extension_connections", {}),
    ],
)
async def test_nobody_has_no_devices(
    client: Client, function: str, arguments: dict[str, Any]
) -> None:
    answer = await client.call(function, **arguments)

    assert (answer.status, answer.body["code"]) == (401, "42501")
    assert answer.body["hint"] == "Sign in first."


def _socket(client: Client) -> Any:
    return client.http.ws_connect(f"{client.url}/realtime/v1/websocket?vsn=2.0.0")


async def test_a_session_on_another_device_no_longer_hears_the_one_before(client: Client) -> None:
    moving = await client.sign_up(EMAIL)
    other = await client.sign_in(EMAIL)
    topics = [f"device:{moving.device_id}", f"user:{moving.user_id}"]
    async with client.http.ws_connect(f"{client.url}/realtime/v1/websocket?vsn=2.0.0") as ws:
        phone = Phone(ws, Version.V2, None)
        for topic in topics:
            ref = await phone.send(f"realtime:{topic}", "phx_join", join_payload(moving.token))
            assert (await phone.reply(ref))["status"] == "ok"
        await moving.ask(
            "register_device", device_name="x", device_type="phone", device_id=other.device_id
        )
        told = [await phone.receive() for _ in range(4)]
        assert [message.payload["event"] for message in told if message.event == "broadcast"] == [
            "device.registered",
            "device.removed",
        ]
        assert [message.payload["code"] for message in told if "code" in message.payload] == [
            "RO401",
            "RO401",
        ]
        assert {message.topic for message in told if "code" in message.payload} == {
            f"realtime:{topics[0]}"
        }
        ref = await phone.send(
            f"realtime:device:{other.device_id}", "phx_join", join_payload(moving.token)
        )
        assert (await phone.reply(ref))["status"] == "ok"
