"""
What headers of tus say.

Source: tus resumable upload protocol 1.0.0 (https://tus.io/protocols/resumable-upload).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final
from uuid import UUID

from roost.errors import RoostError
from roost.files.calls import refused

VERSION: Final = "1.0.0"
EXTENSIONS: Final = (
    "creation,creation-with-upload,creation-defer-length,checksum,expiration,termination,"
    "concatenation"
)
ALGORITHMS: Final = ("sha1", "sha256")
MEDIA_TYPE: Final = "application/offset+octet-stream"

MOST_BYTES: Final = 2**63 - 1
KEY: Final = re.compile(r"[!-+\--~]+")

# What of Upload-Metadata the database reads.
KNOWN: Final = frozenset(
    (
        "workspace_id",
        "path",
        "filename",
        "base_version",
        "file_id",
        "media_type",
        "filetype",
        "modified_at",
        "conflict_policy",
    )
)


@dataclass(frozen=True, slots=True)
class Concat:
    """
    Upload-Concat.

    kind -- whole, partial or final
    parts -- ids of the uploads that a final one is made of
    """

    kind: str
    parts: list[UUID]


def read_number(headers: Mapping[str, str], name: str) -> int | None:
    """A count of bytes, None where the header is missing. Raises RoostError."""
    text = headers.get(name)
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and int(text[:20]) <= MOST_BYTES):
        raise refused(
            f"{name} is not a number of bytes.",
            f"Send {name} as a whole number from 0.",
            details=f"{name}: {text[:100]}",
        )
    return int(text)


def read_metadata(header: str) -> dict[str, str]:
    """The keys of Upload-Metadata that are known, with their values. Raises RoostError."""
    known: dict[str, str] = {}
    for pair in header.split(","):
        if not pair.strip():
            continue
        key, _, value = pair.strip().partition(" ")
        if not KEY.fullmatch(key):
            raise _no_metadata(key)
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            if key in KNOWN:
                raise _no_metadata(key) from None
            continue
        if key in KNOWN and text:
            known[key] = text
    return known


def _no_metadata(key: str) -> RoostError:
    return refused(
        "Upload-Metadata could not be read.",
        "Send pairs of key and value, separated by commas; each value in Base64, as UTF-8.",
        details=f"Key: {key[:100]}",
    )


def read_concat(header: str | None) -> Concat:
    """What Upload-Concat says. Raises RoostError."""
    if header is None:
        return Concat("whole", [])
    kind, _, listed = header.strip().partition(";")
    if kind == "partial" and not listed:
        return Concat(kind, [])
    if kind == "final" and listed:
        try:
            return Concat(
                kind, [UUID(url.rstrip("/").rpartition("/")[2]) for url in listed.split()]
            )
        except ValueError:
            pass
    raise refused(
        "Upload-Concat could not be read.",
        "Send partial, or final; and the addresses of the parts, separated by blanks.",
    )


def read_checksum(header: str | None) -> tuple[Any, bytes] | None:
    """An empty hash, and what it is to be; None where there is none. Raises RoostError."""
    if header is None:
        return None
    algorithm, _, value = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise refused(
            "The algorithm of Upload-Checksum is not known.",
            f"Send one of: {', '.join(ALGORITHMS)}.",
            details=f"Algorithm: {algorithm[:100]}",
        )
    try:
        expected = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise refused("Upload-Checksum is not in Base64.", "Send it in Base64.") from None
    return hashlib.new(algorithm, usedforsecurity=False), expected


def http_date(moment: datetime) -> str:
    """A moment in UTC as HTTP writes it."""
    return format_datetime(moment, usegmt=True)
