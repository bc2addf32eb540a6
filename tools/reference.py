"""
Writes the reference pages that follow from the database: docs/reference/functions/<capability>.md
from the comments and signatures of the functions of api, docs/reference/roles.md from
roost.conversation_permissions, and the table of errors in docs/reference/calls.md.
"""

import re
import tempfile
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple

import psycopg

from roost.database.embedded import EmbeddedPostgres
from roost.database.migrations import migrate

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = Path("docs/reference")

SECTION: Final = re.compile(r"^(Callers|Arguments|Returns|Errors|Example): ", re.MULTILINE)

ERRORS: Final = re.compile(r"(\| code \| name \| status \| meaning \|\n\|[-|]+\|\n)(?:\|.*\n)+")

FUNCTIONS: Final[LiteralString] = """
    SELECT
        proc.proname,
        pg_get_function_arguments(proc.oid),
        pg_get_function_result(proc.oid),
        obj_description(proc.oid, 'pg_proc')
    FROM pg_catalog.pg_proc AS proc
    WHERE proc.pronamespace = 'api'::regnamespace
"""

# The shapes that functions of api take and answer, with what is nested in them.
TYPES: Final[LiteralString] = """
    SELECT
        format_type(type.oid, NULL),
        coalesce(
            (
                SELECT string_agg(
                    format('`%s` %s', attribute.attname, format_type(attribute.atttypid, -1)),
                    ', ' ORDER BY attribute.attnum
                )
                FROM pg_catalog.pg_attribute AS attribute
                WHERE attribute.attrelid = type.typrelid
                    AND attribute.attnum > 0
                    AND NOT attribute.attisdropped
            ),
            (
                SELECT string_agg(
                    format('`%s`', label.enumlabel), ', ' ORDER BY label.enumsortorder
                )
                FROM pg_catalog.pg_enum AS label
                WHERE label.enumtypid = type.oid
            )
        )
    FROM pg_catalog.pg_type AS type
    LEFT JOIN pg_catalog.pg_class AS relation ON relation.oid = type.typrelid
    WHERE type.typnamespace = 'roost'::regnamespace
        AND (type.typtype = 'e' OR relation.relkind = 'c')
"""


class Function(NamedTuple):
    name: str
    arguments: str
    result: str
    comment: str


def pages(connection: psycopg.Connection[Any]) -> dict[Path, str]:
    """The text of each page, by its path from the root. connection -- to a migrated database"""
    functions = {row[0]: Function(*row) for row in connection.execute(FUNCTIONS).fetchall()}
    types: dict[str, str] = dict(connection.execute(TYPES).fetchall())
    made: dict[Path, str] = {}
    for folder in sorted((ROOT / "db" / "functions").iterdir()):
        named = [
            functions[file.stem] for file in sorted(folder.glob("*.sql")) if file.stem in functions
        ]
        if named:
            page = REFERENCE / "functions" / f"{folder.name}.md"
            made[page] = _capability(folder.name, named, types)
    made[REFERENCE / "roles.md"] = _roles(connection)
    calls = REFERENCE / "calls.md"
    made[calls] = _errors(connection, (ROOT / calls).read_text(encoding="utf-8"))
    return made


def _capability(name: str, functions: list[Function], types: dict[str, str]) -> str:
    lines = [
        f"# {name.capitalize().replace('_', ' ')}",
        "",
        "Made by `make docs` from the comments in `db/functions`. How to call them:"
        " [Calls](../calls.md).",
        "",
    ]
    for function in functions:
        lines += _function(function)
    used = _used_types(" ".join(f.arguments + " " + f.result for f in functions), types)
    if used:
        lines += ["## Types", "", "| type | |", "|---|---|"]
        lines += [f"| `{name}` | {types[name]} |" for name in used]
        lines.append("")
    return "\n".join(lines)


def _function(function: Function) -> list[str]:
    purpose, _, rest = function.comment.partition("\n\n")
    parts = SECTION.split(rest)
    arguments = function.arguments.replace("\n", " ")
    lines = [
        f"## {function.name}",
        "",
        _line(purpose),
        "",
        f"    {function.name}({arguments}) -> {function.result}",
        "",
    ]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        body = f"`{_line(text)}`" if title == "Example" else _line(text)
        lines.append(f"- {title}: {body}")
    return [*lines, ""]


def _used_types(text: str, types: dict[str, str]) -> list[str]:
    """The types that a text names, and those that are nested in them, in order."""
    used: list[str] = []
    waiting = [text]
    while waiting:
        looked_at = waiting.pop(0)
        for name, parts in sorted(types.items()):
            if name not in used and re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", looked_at):
                used.append(name)
                waiting.append(parts)
    return sorted(used)


def _roles(connection: psycopg.Connection[Any]) -> str:
    roles = [
        row[0]
        for row in connection.execute(
            "SELECT unnest(enum_range(NULL::roost.participant_role))::text"
        ).fetchall()
    ]
    lines = [
        "# Roles",
        "",
        "What a participant of a conversation may do, by role; each role may also do what those"
        " before it may. Made by `make docs` from the table `roost.conversation_permissions`,"
        " which functions and policies read.",
        "",
        f"| permission | {' | '.join(roles)} | in an archived conversation | |",
        f"|---|{'---|' * len(roles)}---|---|",
    ]
    for permission, least, in_archive, meaning in connection.execute(
        "SELECT permission, least_role::text, in_archive, meaning"
        " FROM roost.conversation_permissions ORDER BY permission"
    ).fetchall():
        marks = ["yes" if place >= roles.index(least) else "" for place in range(len(roles))]
        archive = "yes" if in_archive else "no"
        lines.append(f"| `{permission}` | {' | '.join(marks)} | {archive} | {meaning} |")
    return "\n".join([*lines, ""])


def _errors(connection: psycopg.Connection[Any], page: str) -> str:
    rows = "".join(
        f"| {' | '.join(map(str, row))} |\n"
        for row in connection.execute(
            "SELECT code, name, http_status, meaning FROM roost.error_codes ORDER BY code"
        ).fetchall()
    )
    return ERRORS.sub(lambda match: match[1] + rows, page)


def _line(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="roost-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "data", settings={"fsync": "off"})
        try:
            postgres.start()
            migrate(postgres.conninfo())
            with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
                made = pages(connection)
        finally:
            postgres.stop()
    functions = ROOT / REFERENCE / "functions"
    functions.mkdir(exist_ok=True)
    for page in functions.glob("*.md"):
        page.unlink()
    for page, text in made.items():
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
