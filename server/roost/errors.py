"""Errors that reach a client: each carries what the JSON body of an answer says."""


class RoostError(Exception):
    """
    An error with its answer.

    code -- an SQLSTATE, or a code of PostgREST (PGRSTnnn); clients go by it, not by the message
    message -- one sentence for people
    details -- the data it is about, if any
    hint -- what to do about it, if known
    status -- HTTP status
    """

    def __init__(
        self, *, code: str, message: str, details: str | None, hint: str | None, status: int
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.status = status

    def __str__(self) -> str:
        # The details stay out: they may quote what a user wrote.
        return f"{self.code}: {self.message}"


class DatabaseError(RoostError):
    """
    PostgreSQL refused a statement; its transaction has been rolled back.

    sqlstate -- five characters, as in PostgreSQL's appendix of error codes
    constraint -- name of the constraint that was violated, if it was one
    """

    def __init__(
        self,
        *,
        sqlstate: str,
        message: str,
        details: str | None = None,
        hint: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(code=sqlstate, message=message, details=details, hint=hint, status=500)
        self.sqlstate = sqlstate
        self.constraint = constraint


class DatabaseUnavailable(RoostError):  # noqa: N818 - it is a state, not a mistake
    """
    There is no connection to the database, it broke, or none became free in time (504).

    After code 08006 the outcome is unknown: the call had been sent and may have been carried out.
    """

    def __init__(
        self,
        *,
        code: str,
        message: str,
        details: str | None = None,
        hint: str | None = "Try again.",
        status: int = 503,
    ) -> None:
        super().__init__(code=code, message=message, details=details, hint=hint, status=status)
