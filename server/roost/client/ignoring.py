"""What is not synced: the syntax of .gitignore, in a file .roostignore at the top of the folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

IGNORE_FILE: Final = ".roostignore"

# The client's own folder, and files that nobody wants on another device.
STATE_FOLDER: Final = ".roost-sync"
_ALWAYS: Final = (f"/{STATE_FOLDER}/", ".DS_Store", "Thumbs.db", "desktop.ini")


class IgnoreError(Exception):
    """The ignore file can't be read. One line, with the cure."""


class Ignored:
    """Says which paths are ignored, by the lines of an ignore file."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        try:
            self._spec = GitIgnoreSpec.from_lines([*_ALWAYS, *lines])
        except ValueError as error:
            raise IgnoreError(f"{IGNORE_FILE}: {error}") from error
        # Whatever the file says, for its state would be sent to others.
        self._own = GitIgnoreSpec.from_lines([_ALWAYS[0]])

    @classmethod
    def read(cls, root: Path) -> "Ignored":
        """Those of a folder. Raises IgnoreError."""
        try:
            text = (root / IGNORE_FILE).read_text("utf-8-sig")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as error:
            raise IgnoreError(f"{IGNORE_FILE} can't be read: {error}") from error
        return cls(text.splitlines())

    def __call__(self, path: str, *, folder: bool) -> bool:
        """
        Whether a path is ignored by itself; what is in an ignored folder is ignored with it, as in
        git: nothing in it can be taken back by a pattern.
        """
        asked = f"{path}/" if folder else path
        return self._spec.match_file(asked) or self._own.match_file(asked)
