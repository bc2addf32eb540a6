"""The statements that Roost sends, in the form that other programs take them."""

import re
from typing import Any, Self

import psycopg
from psycopg.rows import tuple_row

from roost.database.catalogue import Catalogue, parse_catalogue
from roost.database.connection import BEGIN_CALL as ROOST_BEGIN_CALL
from roost.database.queries import LOAD_CATALOGUE


def numbered_to(placeholder: str, statement: bytes) -> str:
    """A statement with its $1, $2 written as another placeholder, {} in which is the number."""
    text = statement.decode().replace("%", "%%") if "%" in placeholder else statement.decode()
    return re.sub(r"\$(\d+)", lambda match: placeholder.format(match[1]), text)


BEGIN_CALL = numbered_to("%s", ROOST_BEGIN_CALL.sql)


class Calls:
    """The statement for a call, from the functions' signatures as the server reads them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @classmethod
    async def load(cls, connection: psycopg.AsyncConnection[Any]) -> Self:
        """Reads the catalogue."""
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(LOAD_CATALOGUE.sql)
            row = await cursor.fetchone()
        assert row is not None
        return cls(parse_catalogue(row[0].encode()))

    def sql(self, function: str, arguments: frozenset[str]) -> bytes:
        """The statement as the server sends it."""
        for candidate in self._catalogue.functions[function]:
            if candidate.accepts(arguments):
                return candidate.statement(arguments).sql
        raise LookupError(function)

    def statement(self, function: str, arguments: frozenset[str]) -> str:
        """The same with %s for the argument, as psycopg takes it."""
        return numbered_to("%s", self.sql(function, arguments))
