"""Calls of the database that carry bytes, with errors as clients are to see them."""

from collections.abc import Callable
from typing import Any

from roost.database.catalogue import Catalogue
from roost.database.connection import Identity
from roost.database.transactions import LinkIdentity, Row, Step, Transactions
from roost.errors import DatabaseError, RoostError
from roost.responses import translated

Caller = Identity | LinkIdentity


class Calls:
    """Runs statements in somebody's name."""

    def __init__(self, transactions: Transactions, catalogue: Callable[[], Catalogue]) -> None:
        self._transactions = transactions
        self._catalogue = catalogue

    async def run(self, caller: Caller, *steps: Step) -> list[Row]:
        """The first row of each statement, once they have committed. Raises RoostError."""
        try:
            return await self._transactions.run(caller, *steps)
        except DatabaseError as error:
            catalogue = self._catalogue()
            raise translated(
                error,
                catalogue.statuses,
                catalogue.hints,
                anonymous=isinstance(caller, Identity) and caller.role == b"anon",
            ) from None

    async def ask(self, caller: Caller, sql: bytes, *values: Any) -> Row:
        """The first row of one statement."""
        return (await self.run(caller, Step(sql, values)))[0]


def refused(
    message: str, hint: str, *, details: str | None = None, status: int = 400
) -> RoostError:
    """What the server itself refuses of a request."""
    return RoostError(code="RO302", message=message, details=details, hint=hint, status=status)
