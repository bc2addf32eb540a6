"""The name under which a browser keeps a download (RFC 6266, RFC 8187)."""

import unicodedata
from typing import Final
from urllib.parse import quote

# attr-char of RFC 8187, besides letters and digits.
PLAIN: Final = "!#$&+-.^_`|~"


def content_disposition(kind: str, name: str) -> str:
    """
    The value of Content-Disposition.

    kind -- inline or attachment
    name -- in any script; clients that know no filename* get what is left of it in ASCII
    """
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    fallback = "".join(
        "_" if letter in '"\\/%' or not letter.isprintable() else letter for letter in bare
    ).strip()
    if not fallback or fallback.startswith("."):
        fallback = f"download{fallback}"
    value = f'{kind}; filename="{fallback}"'
    if fallback != name:
        value += f"; filename*=UTF-8''{quote(name, safe=PLAIN, errors='replace')}"
    return value
