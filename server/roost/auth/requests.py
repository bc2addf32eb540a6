"""What clients send, read and checked for its form; what it may mean, the database decides."""

import ipaddress
import uuid
from collections.abc import Sequence
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from roost.errors import RoostError
from roost.settings import Network

DEVICE_HEADER: Final = "X-Roost-Device"
DEVICE_KEYS: Final[dict[str, type]] = {
    "device_id": str,
    "device_name": str,
    "device_type": str,
    "platform": str,
    "capabilities": dict,
}


def invalid(message: str, details: str | None, hint: str) -> RoostError:
    """The error for a body that is JSON, but not what is expected."""
    return RoostError(
        code="validation_failed", message=message, details=details, hint=hint, status=400
    )


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises RoostError, HTTPRequestEntityTooLarge."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise RoostError(
            code="bad_json",
            message="The body is not JSON.",
            details=str(error),
            hint="Send a JSON object.",
            status=400,
        ) from None
    if not isinstance(body, dict):
        raise invalid("The body is not a JSON object.", None, "Send a JSON object.")
    return body


def read_text(body: dict[str, Any], key: str) -> str | None:
    """A string of the body, None where it is missing or null. Raises RoostError."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"{key} is not a string.", None, f"Send {key} as a string.")
    return value


def require_text(body: dict[str, Any], key: str) -> str:
    """A string of the body that has to be there. Raises RoostError."""
    value = read_text(body, key)
    if not value:
        raise invalid(f"{key} is missing.", None, f"Send {key}.")
    return value


def read_json(body: dict[str, Any], key: str) -> bytes | None:
    """An object of the body as JSON text, None where it is missing or null. Raises RoostError."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid(f"{key} is not an object.", None, f"Send {key} as an object.")
    return orjson.dumps(value)


def read_device(request: web.Request, body: dict[str, Any]) -> bytes:
    """
    A roost.device_description as JSON, from the member `device` and the header X-Roost-Device; the
    member wins. Raises RoostError.
    """
    device = body.get("device")
    if device is None:
        device = {}
    if not isinstance(device, dict):
        raise invalid("device is not an object.", None, "Send device as an object.")
    for key, value in device.items():
        if key not in DEVICE_KEYS:
            raise invalid(
                "device has an unknown member.",
                f"Member: {key}",
                f"Send any of {', '.join(DEVICE_KEYS)}.",
            )
        if value is not None and not isinstance(value, DEVICE_KEYS[key]):
            raise invalid(
                f"device.{key} is of the wrong type.",
                None,
                f"Send {key} as {'an object' if DEVICE_KEYS[key] is dict else 'a string'}.",
            )
    device_id = device.get("device_id") or request.headers.get(DEVICE_HEADER)
    if device_id:
        try:
            device_id = str(uuid.UUID(device_id))
        except ValueError:
            raise invalid(
                "The id of the device is not a UUID.",
                f"Device: {device_id[:100]}",
                f"Send the id of a device of yours in device_id or {DEVICE_HEADER}, or none.",
            ) from None
    return orjson.dumps({**device, "device_id": device_id or None})


def client_software(request: web.Request) -> bytes:
    """What the client says of itself: browser or runtime, then library."""
    said = (request.headers.get(name) for name in (hdrs.USER_AGENT, "X-Client-Info"))
    # Bytes that were not UTF-8 come as surrogates.
    return " ".join(filter(None, said)).encode("utf-8", "replace")


def client_address(request: web.Request, trusted_proxies: Sequence[Network]) -> str:
    """
    Under what the client's attempts are counted: its IPv4 address, or the /64 of its IPv6 address,
    which is what one customer gets. A Unix socket has none.

    Each proxy appends the address that it was called from to X-Forwarded-For. What stands left of
    an address that is not a trusted proxy's is what its sender claims, and is not looked at.
    """
    if not request.remote:
        return "local"
    address = _parsed(request.remote)
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    for entry in reversed(forwarded):
        if not any(address in network for network in trusted_proxies):
            break
        try:
            address = _parsed(entry.strip())
        except ValueError:
            break
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
