"""PostgreSQL 15 as Debian packages it: with plpgsql_check, which is not to be had elsewhere."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from roost.database.embedded import EmbeddedPostgres

BINARIES = Path("/usr/lib/postgresql/15/bin")


class DebianPostgres(EmbeddedPostgres):
    """A server that loads plpgsql_check, which then also counts across sessions."""

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        announce: Callable[[str], None] = lambda _line: None,
    ) -> None:
        preload = {"shared_preload_libraries": "plpgsql,plpgsql_check"}
        super().__init__(data_dir, settings={**(settings or {}), **preload}, announce=announce)

    @property
    def binaries(self) -> Path:
        if not (BINARIES.parent / "lib" / "plpgsql_check.so").exists():
            pytest.fail("postgresql-15-plpgsql-check is missing: run `make debian`")
        return BINARIES

    @property
    def locale_options(self) -> tuple[str, ...]:
        return ("--locale=C.UTF-8",)
