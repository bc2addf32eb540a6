"""Whether the files below db/ do what they seem to say, with each tool that applies them."""

import re
from collections.abc import Iterator
from typing import Final

from roost.database.migration_files import (
    Migration,
    MigrationError,
    MigrationFiles,
    Repeatable,
    Statement,
    make_repeatable,
    outside_quotes,
    split_statements,
)


def refuse_malformed(files: MigrationFiles) -> None:
    """Raises MigrationError that names the first problem."""
    if found := problems(files):
        more = f" (and {len(found) - 1} more: roost verify)" if len(found) > 1 else ""
        raise MigrationError(found[0] + more)


def problems(files: MigrationFiles) -> list[str]:
    """Every file that a tool would take silently and do wrongly, with the cure."""
    return [
        *_release_problems(files),
        *_name_problems(files),
        *(line for migration in files.migrations.values() for line in _problems(files, migration)),
        *_stray_problems(files),
        *_repeatable_problems(files),
    ]


def _name_problems(files: MigrationFiles) -> Iterator[str]:
    numbers: dict[str, str] = {}
    for path in sorted((files.directory / "schema").iterdir()):
        name = path.name
        if name == "post-apply.py" or _is_hidden(name):
            continue
        if not re.fullmatch(r"\d{4}\.[a-z0-9_]+(\.rollback)?\.sql", name):
            yield f"db/schema/{name} is not named like a migration: name it NNNN.what_it_does.sql"
        elif not name.endswith(".rollback.sql"):
            if name[:4] in numbers:
                yield (
                    f"db/schema/{name} has the number of {numbers[name[:4]]}:"
                    " give it the next free one"
                )
            numbers[name[:4]] = name
        elif name.removesuffix(".rollback.sql") not in files.migrations:
            yield f"db/schema/{name} undoes a migration that is not there: remove it"


def _problems(files: MigrationFiles, migration: Migration) -> Iterator[str]:
    file = f"db/schema/{migration.id}.sql"
    rollback = f"db/schema/{migration.id}.rollback.sql"
    yield from _text_problems(file, migration.text, migration.statements)
    if migration.rollback_statements:
        yield from _text_problems(rollback, migration.rollback, migration.rollback_statements)
    else:
        yield (
            f"{file} has no rollback: write {rollback}, with a statement that undoes it"
            " (only the DELETE of its record where there is nothing to undo)"
        )
    yield from _directive_problems(file, migration, files)
    forget = _FORGET.format(migration.id)
    if not migration.transactional:
        yield from _bare_problems(file, migration.statements)
        # Two statements at most, and both may be repeated: the record goes when the rest has gone.
        undoing = [it for it in migration.rollback_statements if it.text != forget]
        yield from _bare_problems(rollback, undoing)
    if migration.id[:4] > _RECORDS_SINCE and forget not in migration.rollback:
        yield (
            f"{rollback} leaves the record of the migration, which yoyo does not know of: end it"
            f" with {forget}"
        )
    if migration.transactional:
        yield from _path_problems(file, migration.statements)
        yield from _path_problems(rollback, migration.rollback_statements)


def _path_problems(file: str, statements: list[Statement]) -> Iterator[str]:
    """
    A name without a schema means what the session's search path says, and whoever may create in a
    schema of it could put a function or an operator of theirs there.
    """
    if statements and statements[0].text != _SEARCH_PATH:
        yield (
            f"{file}:{statements[0].line} runs with whatever search path the role has: begin with"
            f" {_SEARCH_PATH}"
        )


def _bare_problems(file: str, statements: list[Statement]) -> Iterator[str]:
    """Of files that are applied outside a transaction."""
    if len(statements) > 1:
        yield (
            f"{file} has {len(statements)} statements outside a transaction, so that a failure"
            " would leave it half done: give each a migration of its own"
        )
    for line, statement in statements:
        words = " ".join(statement.upper().split())
        if words.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")):
            if not re.match(r"CREATE (UNIQUE )?INDEX CONCURRENTLY \w+ ON (ONLY )?\w+\.\w+", words):
                yield (
                    f"{file}:{line} cannot be repeated after a crash: write CREATE INDEX"
                    " CONCURRENTLY name ON schema.table, without IF NOT EXISTS"
                )
        elif words.startswith("DROP INDEX"):
            if not words.startswith("DROP INDEX CONCURRENTLY IF EXISTS "):
                yield (
                    f"{file}:{line} cannot be repeated after a crash: write DROP INDEX"
                    " CONCURRENTLY IF EXISTS"
                )
        elif not re.match(r"(REINDEX|VACUUM|REFRESH MATERIALIZED VIEW)\b|DO\b.* COMMIT;", words):
            yield (
                f"{file}:{line} has {_beginning(statement)} outside a transaction, where it may"
                " not be possible to repeat it after a crash: leave out transactional: false, which"
                " is for CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY IF EXISTS, REINDEX,"
                " VACUUM, REFRESH MATERIALIZED VIEW, and DO that commits batch after batch"
            )


def _stray_problems(files: MigrationFiles) -> Iterator[str]:
    for folder in ("functions", "triggers"):
        for path in sorted((files.directory / folder).rglob("*")):
            name = path.relative_to(files.directory).as_posix()
            if path.is_dir() or _is_hidden(path.name):
                continue
            if not re.fullmatch(r"[a-z0-9_/]+\.sql", name):
                yield (
                    f"db/{name} is not named like a file of functions: name it {folder}/..."
                    "/what_it_makes.sql, in small letters, or remove it"
                )


def _repeatable_problems(files: MigrationFiles) -> Iterator[str]:
    makers: dict[str, str] = {}
    for repeatable in files.repeatables.values():
        file = f"db/{repeatable.path}"
        statements = split_statements(repeatable.text)
        yield from _text_problems(file, repeatable.text, statements)
        for match in re.finditer(r"(?m)^-- File: ", repeatable.text):
            yield (
                f"{file}:{_line(repeatable.text, match.start())} begins with -- File:, by which a"
                " release tells its files apart: write something else"
            )
        if not repeatable.objects:
            yield f"{file} makes nothing: begin with CREATE OR REPLACE FUNCTION or TRIGGER"
        yield from _statement_problems(file, repeatable, statements)
        for line, statement in statements:
            for made in make_repeatable(file, statement).objects:
                if made in makers:
                    yield (
                        f"{file}:{line} makes {made}, as {makers[made]} does: give it another"
                        " name, since they could not be told apart"
                    )
                makers[made] = f"{file}:{line}"


def _statement_problems(
    file: str, repeatable: Repeatable, statements: list[Statement]
) -> Iterator[str]:
    """What is made has to be known, so that it can be dropped when the file is gone."""
    lines = repeatable.text.split("\n")
    previous = ""
    for number, (line, statement) in enumerate(statements):
        words = " ".join(outside_quotes(statement).split())
        following = statements[number + 1].text if number + 1 < len(statements) else ""
        if not lines[line - 1].startswith(statement.partition("\n")[0]):
            yield f"{file}:{line} begins within a line: let each statement begin a line"
        elif words.startswith("CREATE CONSTRAINT TRIGGER"):
            if previous not in _drops(statement):
                yield (
                    f"{file}:{line} cannot be repeated: put DROP TRIGGER IF EXISTS name ON"
                    " schema.table; before it"
                )
        elif words.startswith("CREATE"):
            if not re.match(r"CREATE OR REPLACE (FUNCTION|PROCEDURE|TRIGGER) ", words):
                yield (
                    f"{file}:{line} makes what may only be made by a migration, or cannot be"
                    " repeated: write CREATE OR REPLACE FUNCTION, PROCEDURE or TRIGGER"
                )
            elif len(make_repeatable(file, statement).objects) != 1:
                yield (
                    f"{file}:{line} cannot be read: write schema.name in small letters, without"
                    " quotes, and LANGUAGE before the body"
                )
        elif not _KEPT_WITH_IT.fullmatch(words) and words not in _drops(following):
            yield (
                f"{file}:{line} has {_beginning(statement)}: beside what it makes a file has ALTER"
                " FUNCTION ... OWNER TO, GRANT, REVOKE and COMMENT ON, in capitals; the rest is for"
                " a migration"
            )
        previous = words


def _drops(statement: str) -> list[str]:
    """What has to be before a CREATE CONSTRAINT TRIGGER, which has no OR REPLACE."""
    if not statement.startswith("CREATE CONSTRAINT TRIGGER"):
        return []
    return [f"DROP TRIGGER IF EXISTS {it[8:]};" for it in make_repeatable("", statement).objects]


def _release_problems(files: MigrationFiles) -> Iterator[str]:
    for release in files.releases.values():
        for name, digest in release.migrations.items():
            found = files.migrations.get(name)
            if found is None:
                yield f"db/schema/{name}.sql of release {release.version} is gone: restore it"
            elif found.sha256 != digest:
                yield (
                    f"db/schema/{name}.sql was edited after release {release.version}: restore it,"
                    " and put the change into a new migration"
                )


def _text_problems(file: str, text: str, statements: list[Statement]) -> Iterator[str]:
    if text.startswith("\ufeff"):
        yield f"{file} begins with a byte order mark: save it as UTF-8 without one"
    if not statements:
        yield f"{file} is empty: write a statement, or remove it"
    elif all(re.match(r"SET LOCAL (search_path|ROLE)\b", it.text) for it in statements):
        yield f"{file} does nothing yet: write what it is for"
    bare = outside_quotes(text)
    for match in re.finditer(r"/\*", bare):
        yield (
            f"{file}:{_line(text, match.start())} has a block comment, in which yoyo splits"
            " statements: write -- comments"
        )
    for match in re.finditer(r"(?m)^[ \t]*(\\\S+)", bare):
        yield (
            f"{file}:{_line(text, match.start(1))} has {match[1]}, a command of psql:"
            " write SQL only"
        )
    for line, statement in statements:
        first = re.match(r"[A-Z]*", statement.upper())
        if first and first[0] in _TRANSACTION:
            yield (
                f"{file}:{line} has {first[0]}: leave it out, whoever applies the file begins and"
                " ends the transaction"
            )
        elif re.match(r"(?is)COPY\b.*\bFROM\s+STDIN\b", statement):
            yield f"{file}:{line} has COPY FROM STDIN, which only psql can: write INSERT"


def _directive_problems(file: str, migration: Migration, files: MigrationFiles) -> Iterator[str]:
    seen_sql = False
    for number, line in enumerate(migration.text.splitlines(), 1):
        match = re.match(r"\s*--\s*([A-Za-z_-]+)\s*:", line)
        if match and match[1] in _DIRECTIVES and seen_sql:
            yield (
                f"{file}:{number} has the directive {match[1]} after SQL, where it is taken for a"
                " comment: move it to the first line"
            )
        elif (
            match
            and match[1] not in _DIRECTIVES
            and ((match[1].islower() and not seen_sql) or _ALMOST.match(match[1]))
        ):
            yield (
                f"{file}:{number} has the unknown directive {match[1]}: write"
                f" {' or '.join(sorted(_DIRECTIVES))}, or begin a comment with a capital"
            )
        seen_sql = seen_sql or bool(line.strip() and not line.lstrip().startswith("--"))
    directives = migration.directives
    if directives.get("transactional", "true") not in {"true", "false"}:
        yield (
            f"{file} has transactional: {directives['transactional']}: write true, or false for a"
            " statement that PostgreSQL refuses in a transaction"
        )
    earlier = list(files.migrations)[: list(files.migrations).index(migration.id)]
    for name in directives.get("depends", "").split():
        if name not in earlier:
            yield f"{file} depends on {name}, which is no earlier migration: write its whole id"
    if earlier and "depends" not in directives:
        yield (
            f"{file} does not say what it depends on, so that yoyo may apply or undo it alone:"
            f" begin with -- depends: {earlier[-1]}"
        )


def _is_hidden(name: str) -> bool:
    """What file managers, editors and Python put beside files, and no tool takes for one."""
    return name.startswith((".", "__")) and not name.lower().endswith(".sql")


def _beginning(statement: str) -> str:
    """Its first words, to name it."""
    return " ".join(statement.split()[:3]).rstrip(";")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


# The migration that makes the table of records.
_RECORDS_SINCE: Final = "0003"
_FORGET: Final = "DELETE FROM roost.migration_checksums WHERE id = '{}';"
_SEARCH_PATH: Final = "SET LOCAL search_path = pg_catalog, pg_temp;"
_DIRECTIVES: Final = {"depends", "transactional"}
_ALMOST: Final = re.compile(r"(?i)depend|requir|transact")
_TRANSACTION: Final = {
    "ABORT", "BEGIN", "COMMIT", "END", "PREPARE", "RELEASE", "ROLLBACK", "SAVEPOINT", "START",
}  # fmt: skip
_KEPT_WITH_IT: Final = re.compile(
    r"(ALTER (FUNCTION|PROCEDURE) [^;]* OWNER TO \w+|(GRANT|REVOKE|COMMENT ON) [^;]*);?"
)
