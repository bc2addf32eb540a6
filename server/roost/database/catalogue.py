"""What can be called: the functions of schema api as the database's own catalogue describes them.

Also the two things that turn a database error into a helpful answer: the HTTP status of each of
Roost's error codes, and the hint that each constraint carries as its comment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from psycopg import sql

from roost.database.pipeline import Multiplexer, Statement
from roost.database.queries import LOAD_CATALOGUE

# Clients choose the arguments and their combination; no more combinations than this are kept per
# function and shape.
MOST_STATEMENTS: Final = 256


class Returns(StrEnum):
    """How an answer is shaped: nothing, one value or object, or a list of them."""

    VOID = "void"
    VALUE = "value"
    SET = "set"


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument: its name is the JSON key; type is as SQL writes it."""

    name: str
    type: str
    required: bool
    variadic: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What of an answer the client asked for beyond the plain one.

    single -- exactly one row, as an object (else the call is rolled back)
    strip_nulls -- leave out object members that are null
    bounded -- limit and offset, a count of all rows, or a bound on their number
    """

    single: bool = False
    strip_nulls: bool = False
    bounded: bool = False


PLAIN: Final = Shape()


@dataclass(slots=True)
class Function:
    """A function of schema api, and the statements that call it, made when first needed."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: Returns
    # RETURNS TABLE (one column) and a single OUT argument give the bare value in SQL, but an object
    # with that one member over HTTP. This is the member's name.
    column: str | None
    required: frozenset[str] = field(init=False)
    known: frozenset[str] = field(init=False)
    _statements: dict[tuple[frozenset[str], Shape], Statement] = field(init=False)

    def __post_init__(self) -> None:
        self.required = frozenset(p.name for p in self.parameters if p.required)
        self.known = frozenset(p.name for p in self.parameters)
        self._statements = {}

    def accepts(self, arguments: frozenset[str]) -> bool:
        """Whether a call with exactly these argument names is one of this function."""
        return self.required <= arguments <= self.known

    def statement(self, arguments: frozenset[str], shape: Shape = PLAIN) -> Statement:
        """The statement that calls this function with these arguments.

        $1 is the JSON object of arguments. Bounded ones also take $2 limit and $3 offset (NULL for
        none), $4 the largest number of rows that may be answered (NULL for any).
        Columns: body as JSON text, rows in it, rows in all (bounded only), ..., touched topics.
        """
        statement = self._statements.get((arguments, shape))
        if statement is None:
            statement = Statement(self._compose(arguments, shape).as_bytes(None), touches=True)
            if len(self._statements) < MOST_STATEMENTS:
                self._statements[arguments, shape] = statement
        return statement

    def _compose(self, arguments: frozenset[str], shape: Shape) -> sql.Composed:
        given = [parameter for parameter in self.parameters if parameter.name in arguments]
        call: sql.Composable = sql.SQL("{}({})").format(
            sql.Identifier("api", self.name),
            sql.SQL(", ").join(
                sql.SQL("{}{} => argument.{}").format(
                    sql.SQL("VARIADIC " if parameter.variadic else ""),
                    sql.Identifier(parameter.name),
                    sql.Identifier(parameter.name),
                )
                for parameter in given
            ),
        )
        if self.column is not None:
            call = sql.SQL("pg_catalog.json_build_object({}::text, {})").format(
                sql.Literal(self.column), call
            )
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(
                sql.Identifier(parameter.name),
                # From the catalogue's own format_type(), which quotes.
                sql.SQL(parameter.type),
            )
            for parameter in given
        )
        # Without arguments $1 is only named, so that every statement takes the same parameters.
        source = (
            sql.SQL("pg_catalog.json_to_record($1::json) AS argument({})").format(columns)
            if given
            else sql.SQL("(SELECT $1::json) AS argument (unread)")
        )
        called = sql.SQL("SELECT {} AS value FROM {}").format(call, source)

        # OFFSET 0 and the aggregate keep the call below the projection, so that the list of touched
        # topics is read after the function has filled it.
        touched = sql.SQL("pg_catalog.current_setting('roost.touched', true)")
        if self.returns is Returns.VOID:
            return sql.SQL(
                "SELECT result.value::text, '1', {} FROM ({} OFFSET 0) AS result"
            ).format(touched, called)
        if self.returns is Returns.VALUE:
            body = _stripped(sql.SQL("pg_catalog.to_json(result.value)"), shape)
            return sql.SQL("SELECT {}::text, '1', {} FROM ({} OFFSET 0) AS result").format(
                body, touched, called
            )
        rows = sql.SQL("pg_catalog.json_agg(result.value)")
        body = _stripped(
            sql.SQL("coalesce({} -> 0, 'null')" if shape.single else "coalesce({}, '[]')").format(
                rows
            ),
            shape,
        )
        if not (shape.bounded or shape.single):
            return sql.SQL(
                "SELECT {}::text, pg_catalog.count(*)::text, {} FROM ({} OFFSET 0) AS result"
            ).format(body, touched, called)
        return sql.SQL(
            "WITH called AS MATERIALIZED ({}),"
            " result AS (SELECT called.value FROM called LIMIT $2::bigint OFFSET $3::bigint)"
            " SELECT {}::text, pg_catalog.count(*)::text,"
            " (SELECT pg_catalog.count(*) FROM called)::text,"
            " roost.require_row_count(pg_catalog.count(*), {}, $4::bigint)::text, {} FROM result"
        ).format(called, body, sql.Literal(shape.single), touched)


def _stripped(body: sql.Composable, shape: Shape) -> sql.Composed:
    wrap = "pg_catalog.json_strip_nulls({})" if shape.strip_nulls else "{}"
    return sql.SQL(wrap).format(body)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """
    functions -- by name; several under one name differ in their arguments' names
    statuses -- HTTP status of each error code of class RO
    error_names -- name of each error code of class RO
    hints -- what to do about a violated constraint, by its name, and about a value that an enum
             type does not have, by the type's name with its schema
    """

    functions: Mapping[str, tuple[Function, ...]]
    statuses: Mapping[str, int]
    error_names: Mapping[str, str]
    hints: Mapping[str, str]


def _function(described: dict[str, Any]) -> Function:
    return Function(
        name=described["name"],
        parameters=tuple(Parameter(**parameter) for parameter in described["parameters"]),
        returns=Returns(described["returns"]),
        column=described["column"],
    )


async def load_catalogue(multiplexer: Multiplexer) -> Catalogue:
    """Reads the catalogue in one query. Raises DatabaseError, DatabaseUnavailable."""
    rows = await multiplexer.call(LOAD_CATALOGUE, (), None)
    return parse_catalogue(rows[0][0] or b"{}")


def parse_catalogue(document: bytes) -> Catalogue:
    """The catalogue from the document that LOAD_CATALOGUE answers."""
    described = orjson.loads(document)
    functions: dict[str, tuple[Function, ...]] = {}
    for function in map(_function, described["functions"]):
        functions[function.name] = (*functions.get(function.name, ()), function)
    return Catalogue(
        functions=functions,
        statuses={error["code"]: error["http_status"] for error in described["errors"]},
        error_names={error["code"]: error["name"] for error in described["errors"]},
        hints=described["hints"],
    )
