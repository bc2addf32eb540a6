"""Files that a tool would take silently and do wrongly are refused, before anything is touched."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from roost.database.migration_files import (
    MigrationError,
    MigrationFiles,
    make_repeatable,
    make_way,
    objects_of,
    split_statements,
)
from roost.database.migration_form import problems
from roost.database.migrations import migrate, rollback
from tests.migrating import SEARCH_PATH, release, rows

AFTER = "-- depends: 0001.roles\n"
BEGIN = f"{AFTER}{SEARCH_PATH}"
NOTHING = "DELETE FROM roost.migration_checksums WHERE id = '9000.zz';"
BARE = f"{AFTER}-- transactional: false\n"
INDEX = f"{BARE}CREATE INDEX CONCURRENTLY later ON roost.users (created_at);"
NO_INDEX = "DROP INDEX CONCURRENTLY IF EXISTS roost.later;"
FUNCTION = "CREATE OR REPLACE FUNCTION roost.zz()\nRETURNS int\nLANGUAGE sql\nRETURN 1;\n"


def write(files: Path, name: str, text: str, rollback_text: str) -> None:
    """Adds a migration just as it is."""
    (files / "schema" / f"{name}.sql").write_text(text)
    (files / "schema" / f"{name}.rollback.sql").write_text(rollback_text)


def test_the_files_here_are_in_order() -> None:
    files = MigrationFiles.read()
    assert problems(files) == []
    assert len(files.migrations) >= 9
    # Every file makes something that is dropped with it, and nothing is made twice.
    made = [name for it in files.repeatables.values() for name in it.objects]
    assert len(made) == len(set(made))


@pytest.mark.parametrize(
    ("text", "rollback_text", "complaint"),
    [
        ("SELECT 1;", "", "9000.zz.sql has no rollback: write db/schema/9000.zz.rollback.sql"),
        ("SELECT 1;", "-- Nothing to do.\n", "9000.zz.sql has no rollback"),
        ("-- Only a thought.\n", NOTHING, "9000.zz.sql is empty"),
        ("\ufeffSELECT 1;", NOTHING, "9000.zz.sql begins with a byte order mark"),
        ("-- Why.\nBEGIN;\nSELECT 1;\nCOMMIT;", NOTHING, "9000.zz.sql:2 has BEGIN: leave it out"),
        ("SELECT 1;\ncommit;\n", NOTHING, "9000.zz.sql:2 has COMMIT: leave it out"),
        ("START TRANSACTION;\nSELECT 1;", NOTHING, "9000.zz.sql:1 has START: leave it out"),
        ("SELECT 1;", "DROP TABLE x;\nROLLBACK;", "9000.zz.rollback.sql:2 has ROLLBACK"),
        ("\\set x 1\nSELECT 1;", NOTHING, r"9000.zz.sql:1 has \\set, a command of psql"),
        ("SELECT 1;\n  \\ir other.sql\n", NOTHING, r"9000.zz.sql:2 has \\ir, a command of psql"),
        ("COPY x FROM stdin;\n1\n\\.\n", NOTHING, r"9000.zz.sql:3 has \\., a command of psql"),
        ("SELECT 1;\nCOPY x FROM stdin;\n", NOTHING, "9000.zz.sql:2 has COPY FROM STDIN"),
        ("/* a /* b; */ c; */ SELECT 1;", NOTHING, "9000.zz.sql:1 has a block comment"),
        ("-- dependz: 0001.roles\nSELECT 1;", NOTHING, "9000.zz.sql:1 has the unknown directive"),
        ("-- requires: a\nSELECT 1;", NOTHING, "the unknown directive requires: write depends or"),
        ("-- Transactional: false\nSELECT 1;", NOTHING, "the unknown directive Transactional"),
        ("-- note: this\nSELECT 1;", NOTHING, "or begin a comment with a capital"),
        (
            "SELECT 1;\n-- depends: 0001.roles\n",
            NOTHING,
            "sql:2 has the directive depends after SQL",
        ),
        ("-- transactional: off\nSELECT 1;", NOTHING, "has transactional: off: write true, or"),
        ("-- depends: 0001\nSELECT 1;", NOTHING, "depends on 0001, which is no earlier migration"),
        ("-- depends: 9000.zz\nSELECT 1;", NOTHING, "depends on 9000.zz, which is no earlier"),
        (f"{INDEX}\nSELECT 1;", NOTHING, "9000.zz.sql has 2 statements outside a transaction"),
        (INDEX, "SELECT 1;\nSELECT 2;", "9000.zz.rollback.sql has 2 statements outside"),
        (INDEX, NO_INDEX.replace("IF EXISTS ", ""), "write DROP INDEX CONCURRENTLY IF EXISTS"),
        (INDEX, NO_INDEX.replace("CONCURRENTLY ", ""), "write DROP INDEX CONCURRENTLY IF EXISTS"),
        (INDEX.replace("CONCURRENTLY ", ""), NO_INDEX, "sql:3 cannot be repeated .* write CREATE"),
        (
            f"{BARE}ALTER TABLE realtime.events DETACH PARTITION realtime.old CONCURRENTLY;",
            NOTHING,
            "9000.zz.sql:3 has ALTER TABLE realtime.events outside a transaction, where it may not",
        ),
        (f"{BARE}SELECT 1;", NOTHING, "9000.zz.sql:3 has SELECT 1 outside a transaction"),
        (INDEX, "DELETE FROM roost.users;", "rollback.sql:1 has DELETE FROM roost.users outside"),
        (INDEX.replace("later ", ""), NOTHING, "write CREATE INDEX CONCURRENTLY name ON schema"),
        (INDEX.replace(" later", " IF NOT EXISTS later"), NOTHING, "without IF NOT EXISTS"),
        ("SELECT 1;", NOTHING, "does not say what it depends on, .*: begin with -- depends: 00"),
        (f"{BEGIN}SELECT 1;", "SELECT 1;", "rollback.sql leaves the record of the migration"),
        ("-- Why.\nSET LOCAL ROLE roost_owner;", NOTHING, "9000.zz.sql does nothing yet: write"),
        (f"{SEARCH_PATH}SET LOCAL ROLE x;", NOTHING, "9000.zz.sql does nothing yet: write"),
        (
            f"{AFTER}SELECT 1;",
            f"{SEARCH_PATH}{NOTHING}",
            "9000.zz.sql:2 runs with whatever search path the role has: begin with SET LOCAL"
            " search_path = pg_catalog, pg_temp;$",
        ),
        (
            f"{AFTER}SELECT 1;\n{SEARCH_PATH}",
            f"{SEARCH_PATH}{NOTHING}",
            "9000.zz.sql:2 runs with whatever search path",
        ),
        (
            f"{BEGIN.replace(', pg_temp', '')}SELECT 1;",
            f"{SEARCH_PATH}{NOTHING}",
            "9000.zz.sql:2 runs with whatever search path",
        ),
        (f"{BEGIN}SELECT 1;", NOTHING, "rollback.sql:1 runs with whatever search path the role"),
        # Letters, figures and dollars are a name.
        (f"{BEGIN}SELECT 1 AS a$1$ /* b */, 2 AS c$1$;", NOTHING, "sql:3 has a block comment"),
        (f"{BEGIN}SELECT $1$ /* b */, 2 AS $1$;", NOTHING, "sql:3 has a block comment"),
        (f"{BEGIN}SELECT 1 AS a$b$ /* c */, 2 AS d$b$;", NOTHING, "sql:3 has a block comment"),
        (f"{BEGIN}SELECT E'\\\\' /* b */, E'\\\\';", NOTHING, "sql:3 has a block comment"),
    ],
)
def test_a_malformed_migration(files: Path, text: str, rollback_text: str, complaint: str) -> None:
    write(files, "9000.zz", text, rollback_text)
    found = problems(MigrationFiles.read(files))
    assert re.search(complaint.replace("(", r"\("), found[0]), found


def test_nothing_is_touched_where_a_file_is_malformed(empty_database: str, files: Path) -> None:
    write(files, "9000.zz", f"{BEGIN}COMMIT;", NOTHING)
    for refused in (migrate, rollback):
        with pytest.raises(MigrationError, match=r"9000\.zz\.sql:3 has COMMIT: leave it out"):
            refused(empty_database, directory=files)
    assert rows(empty_database, "SELECT to_regnamespace('yoyo'), to_regnamespace('roost')") == [
        (None, None)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "-- Note: begins with a capital.\n-- depends: 0001.roles 0002.schemas\n"
        f"{SEARCH_PATH}SELECT 1;",
        f"{AFTER}-- transactional: true\n-- Why.\n\n{SEARCH_PATH}SELECT 1;",
        f"{BEGIN}SELECT '/* in a string */', $$ \\d; BEGIN; $$;\n-- A pattern such as a/*.\n",
        f"{BEGIN}SELECT E'it\\'s /* in a string */', e'\\\\', $a$ ' /* $b$ in one */ $a$, '/*';",
        f"{BEGIN}DO $$\nBEGIN\n    -- in here: a comment\n    NULL;\nEND;\n$$;",
        f"{BEGIN}CREATE FUNCTION roost.f() RETURNS int LANGUAGE sql"
        " BEGIN ATOMIC SELECT 1; SELECT 2; END;",
    ],
)
def test_a_well_formed_migration(files: Path, text: str) -> None:
    write(files, "9000.zz", text, f"-- Undoes it.\n{SEARCH_PATH}{NOTHING}")
    assert problems(MigrationFiles.read(files)) == []


@pytest.mark.parametrize(
    ("text", "rollback_text"),
    [
        (INDEX, NO_INDEX),
        (INDEX.replace("CREATE INDEX", "CREATE UNIQUE INDEX"), NO_INDEX),
        (f"{BARE}{NO_INDEX}", INDEX),
        (f"{BARE}REINDEX TABLE CONCURRENTLY roost.users;", NOTHING),
        (f"{BARE}VACUUM (ANALYZE) roost.users;", NOTHING),
        (f"{BARE}DO $$ BEGIN LOOP EXIT WHEN true; COMMIT; END LOOP; END $$;", NOTHING),
        (f"{BARE}REFRESH MATERIALIZED VIEW CONCURRENTLY roost.summary;", NOTHING),
    ],
)
def test_a_well_formed_migration_outside_a_transaction(
    files: Path, text: str, rollback_text: str
) -> None:
    write(files, "9000.zz", text, f"{rollback_text.removesuffix(NOTHING)}\n{NOTHING}")
    assert problems(MigrationFiles.read(files)) == []


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("9000.Zz.sql", "9000.Zz.sql is not named like a migration"),
        ("9000.zz.SQL", "9000.zz.SQL is not named like a migration"),
        ("zz.sql", "zz.sql is not named like a migration"),
        ("9000.zz.sql.orig", "9000.zz.sql.orig is not named like a migration"),
        (".9000.zz.sql", ".9000.zz.sql is not named like a migration"),
        ("9000.zz.py", "9000.zz.py is not named like a migration"),
        ("0001.again.sql", "0001.roles.sql has the number of 0001.again.sql"),
        ("9000.zz.rollback.sql", "9000.zz.rollback.sql undoes a migration that is not there"),
    ],
)
def test_a_file_that_is_no_migration(files: Path, name: str, complaint: str) -> None:
    (files / "schema" / name).write_text("SELECT 1;")
    assert any(complaint in problem for problem in problems(MigrationFiles.read(files)))


def test_a_file_that_is_not_text(files: Path) -> None:
    (files / "schema" / "9000.zz.sql").write_bytes(b"SELECT '\xe4';")
    with pytest.raises(MigrationError, match=r"9000\.zz\.sql is not UTF-8: save it as UTF-8"):
        MigrationFiles.read(files)


def test_a_folder_without_migrations(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=f"there are no migrations in {tmp_path}/schema"):
        MigrationFiles.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;", "functions/system/zz.sql makes nothing: begin with CREATE OR REPLACE"),
        ("", "functions/system/zz.sql is empty"),
        ("BEGIN;\nCOMMIT;", "functions/system/zz.sql:1 has BEGIN: leave it out"),
        (
            "CREATE VIEW roost.zz AS SELECT 1;",
            "zz.sql:1 makes what may only be made by a migration",
        ),
        (FUNCTION.replace(" OR REPLACE", ""), "or cannot be repeated: write CREATE OR REPLACE"),
        (
            "CREATE AGGREGATE roost.zz(int) (sfunc = x, stype = int);",
            "zz.sql:1 makes what may only",
        ),
        (FUNCTION.lower(), "zz.sql:1 has create or replace: beside what it makes a file has ALTER"),
        (f"{FUNCTION}SELECT 1;", "zz.sql:5 has SELECT 1: beside what it makes a file has ALTER"),
        (f"{FUNCTION}GRUNT x TO y;", "zz.sql:5 has GRUNT x TO: beside what it makes"),
        (
            f"{FUNCTION}DROP FUNCTION roost.y();",
            "zz.sql:5 has DROP FUNCTION roost.y(): beside what",
        ),
        (
            f"{FUNCTION}ALTER FUNCTION roost.zz() SECURITY DEFINER;",
            "zz.sql:5 has ALTER FUNCTION roost.zz(): beside what it makes",
        ),
        # Where a backslash ends a string, the splitter goes on.
        (
            f"{FUNCTION}COMMENT ON TABLE a IS '\\'; DROP TABLE a; --'",
            "has COMMENT ON TABLE: beside",
        ),
        (f" {FUNCTION}", "zz.sql:1 begins within a line: let each statement begin a line"),
        (FUNCTION[:-1] + FUNCTION.replace("zz", "yy"), "zz.sql:4 begins within a line"),
        # Not taken for a part of the first: it would be dropped with it.
        (
            "CREATE OR REPLACE FUNCTION roost.yy() RETURNS int RETURN 1;\n" + FUNCTION,
            "zz.sql:1 cannot be read: write schema.name in small letters, without quotes, and LANG",
        ),
        (FUNCTION.replace("roost.zz", 'roost."zz"'), "zz.sql:1 cannot be read"),
        (FUNCTION.replace("roost.zz", "roost.Zz"), "zz.sql:1 cannot be read"),
        (FUNCTION.replace("roost.zz", "zz"), "zz.sql:1 cannot be read"),
        (
            "CREATE OR REPLACE FUNCTION roost.zz() RETURNS int AS 'SELECT 1' LANGUAGE sql;",
            "zz.sql:1 cannot be read",
        ),
        (
            f"{FUNCTION}{FUNCTION.replace('zz()', 'zz(a int)')}",
            "zz.sql:5 makes FUNCTION roost.zz, as db/functions/system/zz.sql:1 does: give it",
        ),
        (
            FUNCTION.replace("zz()", "set_updated_at(a int)"),
            "makes FUNCTION roost.set_updated_at, as db/functions/system/set_updated_at.sql:",
        ),
        (
            "CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON roost.users EXECUTE FUNCTION x();",
            "zz.sql:1 cannot be repeated: put DROP TRIGGER IF EXISTS name ON schema.table; before",
        ),
        (
            "DROP TRIGGER IF EXISTS t ON roost.devices;\n"
            "CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON roost.users EXECUTE FUNCTION x();",
            "zz.sql:1 has DROP TRIGGER IF: beside what it makes",
        ),
        (
            FUNCTION.replace("RETURN 1", "AS $$\n-- File: functions/system/evil.sql\n$$"),
            "zz.sql:5 begins with -- File:, by which a release tells its files apart: write some",
        ),
    ],
)
def test_a_malformed_repeatable(files: Path, text: str, complaint: str) -> None:
    (files / "functions" / "system" / "zz.sql").write_text(text)
    found = problems(MigrationFiles.read(files))
    assert any(complaint in problem for problem in found), found


@pytest.mark.parametrize(
    "text",
    [
        FUNCTION,
        f"-- Why.\n{FUNCTION}\nREVOKE ALL ON FUNCTION roost.zz() FROM PUBLIC;\n"
        "ALTER FUNCTION roost.zz()\n    OWNER TO roost_api;\n"
        "GRANT EXECUTE ON FUNCTION roost.zz()\nTO roost_user;\n"
        "COMMENT ON FUNCTION roost.zz() IS 'This; that; it''s $$.'",
        "DROP TRIGGER IF EXISTS t ON roost.users;\nCREATE CONSTRAINT TRIGGER t\n"
        "AFTER UPDATE OF email ON roost.users\nDEFERRABLE\nEXECUTE FUNCTION x();",
    ],
)
def test_a_well_formed_repeatable(files: Path, text: str) -> None:
    (files / "functions" / "system" / "zz.sql").write_text(text)
    assert problems(MigrationFiles.read(files)) == []


@pytest.mark.parametrize(
    "name",
    [
        "functions/system/zz.SQL",
        "functions/system/zz.sql.orig",
        "functions/system/a zz.sql",
        "functions/system/.zz.sql",
        "functions/Zz/zz.sql",
        "functions/zz.py",
        "triggers/zz-1.sql",
    ],
)
def test_a_file_that_is_none_of_functions(files: Path, name: str) -> None:
    (files / name).parent.mkdir(exist_ok=True)
    (files / name).write_text(FUNCTION)
    found = problems(MigrationFiles.read(files))
    assert any(f"db/{name} is not named like a file of functions" in it for it in found), found


def test_what_a_file_manager_leaves(files: Path) -> None:
    for folder in ("schema", "functions/system", "triggers"):
        (files / folder / ".DS_Store").write_bytes(b"\x00\xff")
    assert problems(MigrationFiles.read(files)) == []


def test_the_first_problem_is_said_and_how_many_there_are(empty_database: str, files: Path) -> None:
    write(files, "9000.a", "BEGIN;", NOTHING)
    write(files, "9001.b", "COMMIT;", NOTHING)
    with pytest.raises(MigrationError, match=r"9000\.a\.sql:1 has BEGIN.*and 9 more: roost verify"):
        migrate(empty_database, directory=files)


def test_what_was_released_stays(empty_database: str, files: Path) -> None:
    release(files, "9.1.0")
    release(files, "9.10.0")
    release(files, "9.9.0")
    found = MigrationFiles.read(files)
    assert list(found.releases)[-3:] == ["9.1.0", "9.9.0", "9.10.0"]
    assert found.releases["9.1.0"].repeatables == found.repeatables
    # A DBA may use the usual program.
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "releases/9.1.0.sha256"], cwd=files, check=True
    )
    edited = files / "schema" / "0004.accounts.sql"
    text = edited.read_text()
    edited.write_text(text + "SELECT 1;\n")
    with pytest.raises(
        MigrationError, match=r"0004\.accounts\.sql was edited after release [0-9.]+:"
    ):
        migrate(empty_database, directory=files)
    edited.unlink()
    with pytest.raises(MigrationError, match=r"0004\.accounts\.sql of release [0-9.]+ is gone"):
        migrate(empty_database, directory=files)
    edited.write_text(text)
    code = files / "releases" / "9.9.0.sql"
    code.write_text(code.read_text().replace("'pong'", "'peng'"))
    with pytest.raises(MigrationError, match=r"releases/9\.9\.0\.sql was edited after the release"):
        migrate(empty_database, directory=files)
    code.unlink()
    with pytest.raises(MigrationError, match=r"releases/9\.9\.0\.sha256 is not of a release"):
        migrate(empty_database, directory=files)
    assert rows(empty_database, "SELECT to_regnamespace('yoyo')") == [(None,)]


@pytest.mark.parametrize("line", ["", "abc", "0" * 64, f"{'0' * 64} schema/0001.roles.sql"])
def test_a_release_that_is_not_read(files: Path, line: str) -> None:
    release(files, "9.1.0")
    manifest = files / "releases" / "9.1.0.sha256"
    first, rest = manifest.read_text().split("\n", 1)
    manifest.write_text(f"{first}\n{line}\n{rest}")
    with pytest.raises(
        MigrationError, match=r"releases/9\.1\.0\.sha256:2 is no line of sha256sum: restore it"
    ):
        MigrationFiles.read(files)


def test_statements_have_their_lines() -> None:
    text = "-- a\n\nSELECT 1;  SELECT\n 2;\n-- b; c\n\nDO $$\nBEGIN\n    NULL;\nEND;\n$$;\n-- end\n"
    assert split_statements(text) == [
        (3, "SELECT 1;"),
        (3, "SELECT\n 2;"),
        (7, "DO $$\nBEGIN\n    NULL;\nEND;\n$$;"),
    ]


def test_objects_and_how_to_drop_them(files: Path) -> None:
    path = files / "functions" / "system" / "zz.sql"

    def objects(text: str) -> dict[str, str]:
        path.write_text(text)
        return objects_of({"zz": MigrationFiles.read(files).repeatables["functions/system/zz.sql"]})

    first = objects(
        "-- CREATE OR REPLACE FUNCTION roost.not_this() RETURNS int LANGUAGE sql\n"
        "CREATE OR REPLACE FUNCTION roost.f(\n    p_a int -- the first\n)\nRETURNS int\n"
        "LANGUAGE sql\nAS $$ SELECT 1 $$;\n"
        "CREATE OR REPLACE PROCEDURE roost.p() LANGUAGE plpgsql AS $$ BEGIN END $$;\n"
        "CREATE OR REPLACE TRIGGER t BEFORE UPDATE OF a, b ON roost.users EXECUTE FUNCTION x();\n"
    )
    assert list(first) == ["FUNCTION roost.f", "FUNCTION roost.p", "TRIGGER t ON roost.users"]
    assert first["FUNCTION roost.p"] == hashlib.md5(b"()", usedforsecurity=False).hexdigest()
    # What stays loses its rights and its owner: the file gives them anew.
    (reset,) = make_way(first, first)
    assert "ARRAY['roost.f', 'roost.p']" in reset
    assert "REVOKE ALL ON ROUTINE" in reset
    assert "OWNER TO roost_owner" in reset
    changed = objects(
        "CREATE OR REPLACE FUNCTION roost.f(p_a int) RETURNS text LANGUAGE sql AS '';\n"
        "CREATE OR REPLACE PROCEDURE roost.p() LANGUAGE sql AS '';\n"
    )
    *drops, reset = make_way(first, changed)
    assert drops == [
        "DROP TRIGGER IF EXISTS t ON roost.users;",
        "DROP ROUTINE IF EXISTS roost.f;",
    ]
    assert "ARRAY['roost.p']" in reset
    assert make_way(first, {}) == [
        "DROP TRIGGER IF EXISTS t ON roost.users;",
        "DROP ROUTINE IF EXISTS roost.f, roost.p;",
    ]


@pytest.mark.parametrize(
    ("text", "made", "head"),
    [
        (
            "CREATE OR REPLACE FUNCTION roost.f(a numeric(3, 2) DEFAULT abs(round(1, 2)))\n"
            "RETURNS TABLE (id int, language text, LANGUAGE text)\nLANGUAGE sql\nAS '';",
            ["FUNCTION roost.f"],
            "(a numeric(3, 2) DEFAULT abs(round(1, 2)))"
            " RETURNS TABLE (id int, language text, LANGUAGE text)",
        ),
        (
            "CREATE OR REPLACE FUNCTION roost.f(\n    a text DEFAULT ') LANGUAGE;', -- LANGUAGE (\n"
            "    b int -- don't\n)\nRETURNS int STRICT LANGUAGE sql RETURN 1;",
            ["FUNCTION roost.f"],
            "( a text DEFAULT ') LANGUAGE;', b int ) RETURNS int STRICT",
        ),
        # What is made by what is made is not the file's.
        (
            "CREATE OR REPLACE PROCEDURE roost.f(a int)\nLANGUAGE plpgsql\nAS $$\nBEGIN\n"
            "EXECUTE $b$\n"
            "CREATE OR REPLACE FUNCTION roost.g() RETURNS int LANGUAGE sql RETURN 1;\n"
            "CREATE OR REPLACE TRIGGER t AFTER UPDATE ON roost.x EXECUTE FUNCTION roost.h();\n"
            "$b$;\nEND;\n$$;",
            ["FUNCTION roost.f"],
            "(a int)",
        ),
        (
            "CREATE CONSTRAINT TRIGGER t\nAFTER INSERT OR UPDATE OF a, b\nON roost.x\nDEFERRABLE"
            " EXECUTE FUNCTION roost.g('ON roost.y');",
            ["TRIGGER t ON roost.x"],
            None,
        ),
    ],
)
def test_what_is_read_of_a_file(text: str, made: list[str], head: str | None) -> None:
    found = make_repeatable("functions/zz.sql", text).objects
    assert list(found) == made
    if head:
        digest = hashlib.md5(head.encode(), usedforsecurity=False).hexdigest()
        assert found[made[0]] == digest
