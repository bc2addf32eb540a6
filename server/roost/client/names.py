"""Names: which ones the other side can have, and what a copy is called."""

import re
import unicodedata
from typing import Final

LONGEST_NAME: Final = 255

_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")
_DEVICE: Final = re.compile(
    r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE
)


def why_not_remote(name: str) -> str | None:
    """Why the server can't have a file of this name, or None: some device could not keep it."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if name in ("", ".", "..") or _FORBIDDEN.search(name):
        return "its name has a character that other systems do not allow"
    if len(encoded) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} bytes"
    if name[-1] in ". ":
        return "its name ends with a dot or a space, which Windows can't keep"
    if _DEVICE.match(name):
        return "its name is reserved on Windows"
    return None


def why_not_local(name: str, *, windows: bool) -> str | None:
    """Why this machine can't have a file of this name, or None."""
    if name in ("", ".", "..") or "/" in name or "\x00" in name:
        return "its name can't be used on this machine"
    if len(name.encode()) > LONGEST_NAME:
        return f"its name is longer than {LONGEST_NAME} bytes"
    if windows and (re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', name) or _DEVICE.match(name)):
        return "its name can't be used on Windows"
    return None


def copy_name(name: str, stamp: str, number: int = 1) -> str:
    """What a file is called that had to give its name to another one; the suffix stays."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > 16:
        stem, dot, suffix = name, "", ""
    again = f" {number}" if number > 1 else ""
    mark = f" (conflict, {stamp}{again}){dot}{suffix}"
    while len(f"{stem}{mark}".encode()) > LONGEST_NAME and len(stem) > 1:
        stem = stem[:-1]
    return unicodedata.normalize("NFC", f"{stem}{mark}")
