"""
The folder db: what there is to apply, whether it is well-formed, and what earlier releases were.

    db/schema/NNNN.name.sql            versioned: applied once, in order; frozen once released
    db/schema/NNNN.name.rollback.sql   undoes it
    db/functions/**/*.sql              repeatable: applied again whenever their text changes
    db/triggers/*.sql
    db/releases/<version>.sql          the functions and triggers of a release
    db/releases/<version>.sha256       its migrations, for `sha256sum -c` in the folder db
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

import sqlparse

# A run looks into each text some ten times. To tell what is quoted in it, and where its statements
# end, takes longer than all else that the run does outside the database.
_once: Final = functools.lru_cache(maxsize=4096)


class MigrationError(Exception):
    """Files or a database are not as they have to be. The message says which, and the cure."""


class Statement(NamedTuple):
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """A versioned migration. The id is the name of its file without `.sql`."""

    id: str
    text: str
    rollback: str
    """Empty where there is no rollback file."""
    sha256: str

    @property
    def transactional(self) -> bool:
        """Whether it runs in a transaction; the same holds for its rollback."""
        return self.directives.get("transactional", "true") != "false"

    @property
    def directives(self) -> dict[str, str]:
        """As yoyo reads them: in the comments before the first statement."""
        found: dict[str, str] = {}
        for line in self.text.splitlines():
            if match := re.match(r"\s*--\s*(transactional|depends)\s*:\s*(.*?)\s*$", line):
                found[match[1]] = f"{found.get(match[1], '')} {match[2]}".strip()
            elif line.strip() and not line.lstrip().startswith("--"):
                break
        return found

    @property
    def statements(self) -> list[Statement]:
        return split_statements(self.text)

    @property
    def rollback_statements(self) -> list[Statement]:
        return split_statements(self.rollback)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A file of functions or triggers."""

    path: str
    """Below db/, such as functions/system/ping.sql."""
    text: str
    sha256: str

    @property
    def objects(self) -> dict[str, str]:
        """
        What the file makes: `FUNCTION api.ping` with the MD5 of its arguments and result, or
        `TRIGGER name ON roost.table` with nothing. A function whose value differs cannot be
        replaced, and has to be dropped first.
        """
        return dict(_objects_in(self.text))


@dataclass(frozen=True, slots=True)
class Release:
    """What a released version consists of."""

    version: str
    migrations: dict[str, str]
    """SHA-256 by id."""
    repeatables: dict[str, Repeatable]
    """By path, in the order in which they apply."""


@dataclass(frozen=True, slots=True)
class MigrationFiles:
    directory: Path
    migrations: dict[str, Migration]
    """By id, in the order in which they apply."""
    repeatables: dict[str, Repeatable]
    """By path, in the order in which they apply."""
    releases: dict[str, Release]
    """By version, oldest first."""

    @classmethod
    def read(cls, directory: Path | None = None) -> Self:
        """
        Reads a folder db, the one of this version unless another is given. The texts are not looked
        into: see `roost.database.migration_form`. Raises MigrationError.
        """
        directory = directory or db_directory()
        migrations = dict(_read_migrations(directory / "schema"))
        if not migrations:
            raise MigrationError(f"there are no migrations in {directory / 'schema'}")
        repeatables = {
            repeatable.path: repeatable
            for folder in ("functions", "triggers")
            for repeatable in (
                make_repeatable(path.relative_to(directory).as_posix(), _text(path))
                for path in sorted((directory / folder).rglob("*.sql"))
            )
        }
        releases = [_read_release(path) for path in (directory / "releases").glob("*.sha256")]
        return cls(
            directory,
            migrations,
            repeatables,
            {
                release.version: release
                for release in sorted(releases, key=lambda it: version_key(it.version))
            },
        )


def db_directory() -> Path:
    """The folder db: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "db"
    return installed if installed.is_dir() else package.parents[1] / "db"


def make_repeatable(path: str, text: str) -> Repeatable:
    """path -- below db/. A last line without its end gets one: a release puts files together."""
    text = text if text.endswith("\n") else f"{text}\n"
    return Repeatable(path, text, sha256(text))


def sha256(text: str) -> str:
    """Of the text as Python reads it: a checkout with other line ends is the same migration."""
    return hashlib.sha256(text.encode()).hexdigest()


def version_key(version: str) -> tuple[int, ...]:
    """To sort versions such as 0.10.0 by."""
    return tuple(int(part) for part in version.split("."))


def objects_of(repeatables: Mapping[str, Repeatable]) -> dict[str, str]:
    """All that these files make, as `Repeatable.objects` has it."""
    return {
        name: signature
        for repeatable in repeatables.values()
        for name, signature in repeatable.objects.items()
    }


def make_way(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """
    The statements that make way for the objects `new` where the objects `old` are. What is gone is
    dropped, and what cannot be replaced; functions go in one statement, since some stand in others.
    Without CASCADE: what a table, a policy or a view needs is not dropped by the way. Functions
    that stay lose their owner and rights, which CREATE OR REPLACE would keep.
    """
    gone = sorted(name for name, signature in old.items() if new.get(name) != signature)
    statements = [f"DROP TRIGGER IF EXISTS {name[8:]};" for name in gone if name[:8] == "TRIGGER "]
    functions = [name[9:] for name in gone if name[:9] == "FUNCTION "]
    if functions:
        statements.append(f"DROP ROUTINE IF EXISTS {', '.join(functions)};")
    stay = sorted(name[9:] for name in old if name not in gone and name[:9] == "FUNCTION ")
    if stay:
        statements.append(_RESET.replace("{names}", ", ".join(f"'{name}'" for name in stay)))
    return statements


@_once
def _objects_in(text: str) -> Mapping[str, str]:
    code = outside_quotes(text)
    found = {
        f"FUNCTION {match[1]}": hashlib.md5(
            " ".join(_COMMENT.sub("", text[slice(*match.span(2))]).split()).encode(),
            usedforsecurity=False,
        ).hexdigest()
        for match in _FUNCTION.finditer(code)
    }
    found.update({f"TRIGGER {name} ON {table}": "" for name, table in _TRIGGER.findall(code)})
    return found


def split_statements(text: str) -> list[Statement]:
    """As yoyo splits them, so that both send the same; without the comments before them."""
    return list(_statements_in(text))


@_once
def _statements_in(text: str) -> tuple[Statement, ...]:
    found = []
    at = 0
    for part in sqlparse.split(text):
        at = text.index(part, at)
        code = re.sub(r"\A(?:\s*--.*(?:\n|\Z))*\s*", "", part)
        if code:
            begin = at + len(part) - len(code)
            found.append(Statement(text.count("\n", 0, begin) + 1, code))
        at += len(part)
    return tuple(found)


@_once
def outside_quotes(text: str) -> str:
    """The text with strings, quoted bodies and line comments blanked out, of the same length."""
    return _QUOTED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def release_text(repeatables: Mapping[str, Repeatable]) -> str:
    """The content of db/releases/<version>.sql."""
    return "".join(f"-- File: {path}\n{it.text}" for path, it in repeatables.items())


def read_release_text(text: str) -> dict[str, Repeatable]:
    """What `release_text` has put together: by path, in the same order."""
    parts = re.split(r"(?m)^-- File: (\S+)\n", text)[1:]
    return {
        path: make_repeatable(path, content)
        for path, content in zip(parts[::2], parts[1::2], strict=True)
    }


def _read_migrations(folder: Path) -> Iterator[tuple[str, Migration]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".sql" and not path.name.endswith(".rollback.sql"):
            text = _text(path)
            rollback = path.with_suffix(".rollback.sql")
            yield (
                path.stem,
                Migration(
                    path.stem, text, _text(rollback) if rollback.exists() else "", sha256(text)
                ),
            )


def _read_release(manifest: Path) -> Release:
    version = manifest.stem
    sums: dict[str, str] = {}
    for number, line in enumerate(_text(manifest).splitlines(), 1):
        match = _SUM.fullmatch(line)
        if not match:
            raise MigrationError(
                f"db/releases/{manifest.name}:{number} is no line of sha256sum: restore it"
            )
        sums[match[2]] = match[1]
    code = manifest.with_suffix(".sql")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or not code.exists():
        raise MigrationError(
            f"db/releases/{manifest.name} is not of a release: restore db/releases"
        )
    text = _text(code)
    if sums.pop(f"releases/{code.name}", None) != sha256(text):
        raise MigrationError(f"db/releases/{code.name} was edited after the release: restore it")
    return Release(
        version,
        {Path(path).stem: digest for path, digest in sums.items() if path.startswith("schema/")},
        read_release_text(text),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise MigrationError(f"{path} is not UTF-8: save it as UTF-8") from None


_SUM: Final = re.compile(r"([0-9a-f]{64})  (\S+\.sql)")
_COMMENT: Final = re.compile(r"(?m)--.*$")
_QUOTED: Final = re.compile(
    r"""
    --[^\n]*
    | \b[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | (?<![\w$])\$((?:[A-Za-z_]\w*)?)\$.*?\$\1\$
    """,
    re.DOTALL | re.VERBOSE,
)

# Both are for text outside quotes. Parentheses within parentheses, as in numeric(3, 2), go three
# deep. What these do not match, roost.database.migration_form refuses.
_PARENTHESES: Final = r"\([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*\)"
_FUNCTION: Final = re.compile(
    r"^CREATE\s+OR\s+REPLACE\s+(?:FUNCTION|PROCEDURE)\s+([a-z0-9_]+\.[a-z0-9_]+)\s*"
    rf"({_PARENTHESES}(?:(?!\bAS\b)[^();]|{_PARENTHESES})*?)\s+LANGUAGE\b",
    re.MULTILINE,
)
_TRIGGER: Final = re.compile(
    r"^CREATE\s+(?:OR\s+REPLACE|CONSTRAINT)\s+TRIGGER\s+([a-z0-9_]+)\s[^;]*?\sON\s+"
    r"([a-z0-9_]+\.[a-z0-9_]+)",
    re.MULTILINE,
)
# In scripts of released versions, which stay as they are: a change of it is a new one beside it.
_RESET: Final = """\
DO $roost$
DECLARE
    v_function text;
    v_grantee text;
BEGIN
    FOR v_function, v_grantee IN
        SELECT
            routine.oid::pg_catalog.regprocedure,
            coalesce(pg_catalog.quote_ident(grantee.rolname), 'PUBLIC')
        FROM pg_catalog.unnest(ARRAY[{names}]) AS listed (name)
        JOIN pg_catalog.pg_proc AS routine ON routine.oid = to_regproc(listed.name)
        CROSS JOIN LATERAL pg_catalog.aclexplode(routine.proacl) AS acl
        LEFT JOIN pg_catalog.pg_roles AS grantee ON grantee.oid = acl.grantee
        WHERE acl.grantee <> routine.proowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM %s', v_function, v_grantee);
    END LOOP;
    FOR v_function IN
        SELECT routine.oid::pg_catalog.regprocedure
        FROM pg_catalog.unnest(ARRAY[{names}]) AS listed (name)
        JOIN pg_catalog.pg_proc AS routine ON routine.oid = to_regproc(listed.name)
        WHERE routine.proowner <> 'roost_owner'::pg_catalog.regrole
    LOOP
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO roost_owner', v_function);
    END LOOP;
END;
$roost$;"""
