"""
Somebody who may make things in the database, and waits for a superuser or a deployer to run them.

Mallory may create in schema public, or has a schema of her own that the database looks into first.
There she puts what a session would take that does not say which schema it means: her functions,
operators, aggregates, types and views ring an alarm that no rollback silences.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationError
from roost.database.migrations import migrate, migration_sql, rollback, rollback_sql, status
from roost.database.sqitch import export
from roost.database.sqitch_handover import adopt, managed_by_sqitch
from roost.database.verification import verify
from tests.support import (
    REPOSITORY,
    Postgres15,
    administrator,
    client_program,
    running,
    yoyo_url,
)
from tests.test_sqitch import Sqitch

ROLES = "roost_gateway, roost_service, roost_user, roost_anon, roost_api, roost_owner"

# hers is the schema. Run by Mallory, who looks into pg_catalog alone, so as not to catch herself.
ALARM = """
    CREATE SEQUENCE hers.alarm;
    GRANT ALL ON SEQUENCE hers.alarm TO PUBLIC;
    CREATE TABLE hers.loot (who text, is_superuser text, what text);
    GRANT ALL ON hers.loot TO PUBLIC;
    CREATE FUNCTION hers.ring(what text) RETURNS boolean LANGUAGE plpgsql
        SET search_path = pg_catalog
        AS $$
        BEGIN
            PERFORM nextval('hers.alarm');
            INSERT INTO hers.loot VALUES (current_user, current_setting('is_superuser'), what);
            RETURN true;
        END
        $$;
    CREATE FUNCTION hers.make(statement text) RETURNS void LANGUAGE plpgsql
        AS $$
        BEGIN
            EXECUTE statement;
        EXCEPTION
            -- "any" has no place in PL/pgSQL, and some of hers are there by then.
            WHEN syntax_error_or_access_rule_violation OR feature_not_supported THEN
                NULL;
        END
        $$;
    CREATE FUNCTION hers.function(name text, args text, result text) RETURNS text LANGUAGE sql
        AS $$
            SELECT format(
                'CREATE FUNCTION hers.%I(%s) RETURNS %s LANGUAGE plpgsql SET search_path ='
                ' pg_catalog AS %L',
                name,
                args,
                result,
                format(
                    'BEGIN PERFORM hers.ring(%L); RETURN%s; END',
                    name || '(' || args || ')',
                    CASE WHEN result NOT LIKE 'SETOF %' THEN ' NULL' END
                )
            )
        $$;
"""

TRAPS = """
    -- Her own of every function that there is, for where she is looked for first.
    SELECT hers.make(
        hers.function(
            proname,
            oidvectortypes(proargtypes),
            CASE WHEN proretset THEN 'SETOF ' ELSE '' END || format_type(prorettype, NULL)
        )
    )
    FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
        AND prokind = 'f'
        AND provariadic = 0
        AND 0 = ALL (
            SELECT count(*) FROM pg_type
            WHERE (pg_type.oid = prorettype OR pg_type.oid = ANY (proargtypes))
                AND typtype = 'p' AND typname !~ '^any(array|element|nonarray|enum)$'
        );

    -- And one that fits better, for where she comes last: format(text, text, integer, text).
    WITH arg (name) AS (VALUES ('text'), ('name'), ('integer'), ('bigint'), ('oid')),
    args (list) AS (
        SELECT name FROM arg
        UNION ALL SELECT concat_ws(',', a.name, b.name) FROM arg AS a, arg AS b
        UNION ALL SELECT concat_ws(',', a.name, b.name, c.name) FROM arg AS a, arg AS b, arg AS c
        UNION ALL
        SELECT concat_ws(',', 'text', a.name, b.name, c.name) FROM arg AS a, arg AS b, arg AS c
    )
    SELECT hers.make(hers.function(called.name, args.list, 'text'))
    FROM unnest(ARRAY['concat', 'format', 'concat_ws', 'jsonb_build_object']) AS called (name),
    args;

    SELECT hers.make(hers.function(called.name, kind || '[]' || called.more, called.result))
    FROM (
        VALUES
            ('unnest', '', 'SETOF text'),
            ('array_length', ', integer', 'integer'),
            ('cardinality', '', 'integer'),
            ('array_to_string', ', text', 'text'),
            ('arraycontained', ', oid[]', 'boolean')
    ) AS called (name, more, result),
    unnest(ARRAY['text', 'name', 'oid', 'integer']) AS kind;

    -- Operators: as there are, and between types for which there are none, such as oid[] <@ oid[].
    WITH kind (name) AS (
        SELECT unnest(
            ARRAY[
                'text', 'name', 'oid', 'integer', 'bigint', '"char"', 'boolean', 'uuid', 'bytea',
                'timestamptz', 'timestamp', 'jsonb', 'text[]', 'name[]', 'oid[]', 'regclass',
                'regrole', 'regproc', 'regprocedure', 'regtype', 'regnamespace'
            ]
        )
    ),
    operator (name, l, r, result) AS (
        SELECT
            oprname, format_type(oprleft, NULL), format_type(oprright, NULL),
            format_type(oprresult, NULL)
        FROM pg_operator
        WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0

        UNION
        SELECT symbol, l.name, r.name, CASE symbol WHEN '||' THEN 'text' ELSE 'boolean' END
        FROM unnest(
            ARRAY[
                '=', '<>', '<', '<=', '>', '>=', '~', '!~', '~~', '!~~', '<@', '@>', '&&', '||', '?'
            ]
        ) AS symbol,
        kind AS l, kind AS r
    )
    SELECT
        hers.make(hers.function('operator_' || result, l || ',' || r, result)),
        hers.make(
            format(
                'CREATE OPERATOR hers.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hers.%I)',
                name, l, r, 'operator_' || result
            )
        )
    FROM operator;

    SELECT
        hers.make(hers.function('step', concat_ws(',', 'text', nullif(args, '')), 'text')),
        hers.make(
            format(
                'CREATE AGGREGATE hers.%I(%s) (SFUNC = hers.step, STYPE = text)',
                name, coalesce(nullif(args, ''), '*')
            )
        )
    FROM (
        SELECT proname, oidvectortypes(proargtypes)
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'a'

        UNION
        SELECT name, kind
        FROM unnest(ARRAY['max', 'min', 'array_agg', 'count']) AS name,
        unnest(ARRAY['text', 'name', 'oid', 'integer', 'timestamp']) AS kind
    ) AS aggregate (name, args);

    SELECT
        hers.make(
            format(
                'CREATE DOMAIN hers.%I AS pg_catalog.%I CHECK (hers.ring(%L))', name, base, name
            )
        )
    FROM (
        SELECT typname, typname FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' AND typname !~ '^_'
        UNION ALL SELECT 'citext', 'text'
    ) AS type (name, base);

    SELECT
        hers.make(
            format(
                'CREATE VIEW hers.%I AS SELECT * FROM pg_catalog.%I WHERE hers.ring(%L)',
                relname, relname, relname
            )
        ),
        hers.make(format('GRANT SELECT ON hers.%I TO PUBLIC', relname))
    FROM pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v');
"""

# What looks like the tables of sqitch, which says which migrations it has deployed.
REGISTRY = """
    CREATE TABLE hers.projects ();
    CREATE TABLE hers.changes (
        project {1}, change {1}, script_hash text, committed_at timestamptz DEFAULT now()
    );
    GRANT ALL ON hers.changes TO PUBLIC;
    INSERT INTO hers.changes VALUES ('roost', 'schema/0009.messages');
"""

# What runs when it is read: operators and casts of her own types, a policy, and what an index is
# of, since the planner works that out. By kind: what comes before, the type of two columns, and
# what comes after.
DISGUISES = {
    "types": (
        "CREATE TYPE hers.kind AS ENUM ('roost', 'schema/0009.messages'); "
        "CREATE FUNCTION hers.same(hers.kind, hers.kind) RETURNS boolean LANGUAGE plpgsql"
        " AS 'BEGIN RETURN hers.ring(''types''); END'; "
        "CREATE OPERATOR hers.= (LEFTARG = hers.kind, RIGHTARG = hers.kind, FUNCTION = hers.same); "
        "CREATE FUNCTION hers.words(hers.kind) RETURNS text LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM hers.ring(''types''); RETURN ''schema/x''; END'; "
        "CREATE CAST (hers.kind AS text) WITH FUNCTION hers.words(hers.kind) AS IMPLICIT; ",
        "hers.kind",
        "",
    ),
    "policy": (
        "",
        "text",
        "ALTER TABLE hers.changes ENABLE ROW LEVEL SECURITY; "
        "ALTER TABLE hers.changes FORCE ROW LEVEL SECURITY; "
        "CREATE POLICY policy ON hers.changes USING (hers.ring('policy')); ",
    ),
    "index": (
        "CREATE FUNCTION hers.constant(text) RETURNS text IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM hers.ring(''index''); RETURN $1; END'; ",
        "text",
        "CREATE INDEX ON hers.changes (hers.constant('x')); ",
    ),
}


class Trapped(NamedTuple):
    """A database of Mallory's choice, and who is to step into it."""

    conninfo: str
    schema: str
    """Where her things are."""

    @property
    def loot(self) -> list[tuple[Any, ...]]:
        """What of hers has run, and by whom."""
        with quietly(self.conninfo) as connection:
            found = connection.execute(
                f"SELECT DISTINCT who, is_superuser, what FROM {self.schema}.loot".encode()
            ).fetchall()
            (rung,) = connection.execute(
                f"SELECT is_called FROM {self.schema}.alarm".encode()
            ).fetchone() or (None,)
        return found or ([("somebody",)] if rung else [])


class Place(NamedTuple):
    """Where Mallory may create, and what the database looks into."""

    schema: str
    search_path: str


PUBLIC = Place("public", '"$user", public')
# With pg_catalog named last, hers are taken even where PostgreSQL's own fit.
FIRST = Place("mallory", "mallory, public, pg_catalog")
# What sqitch itself asks names no schema: where hers are first, nothing can be done about that.
AMONG = Place("mallory", "mallory, public")


@pytest.fixture(scope="module", params=[Postgres15, EmbeddedPostgres], ids=["15", "18"])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server of these tests' own, with a database full of traps for each of her schemas."""
    with running(request.param) as postgres, administrator(postgres) as connection:
        connection.execute("CREATE ROLE deployer LOGIN CREATEROLE")
        connection.execute("CREATE ROLE mallory LOGIN")
        for place in (PUBLIC, FIRST):
            connection.execute(
                f"CREATE DATABASE template_{place.schema} TEMPLATE template0".encode()
            )
            set_traps(postgres.conninfo(f"template_{place.schema}"), place.schema)
        yield postgres


def set_traps(conninfo: str, schema: str) -> None:
    with quietly(conninfo) as connection:
        if schema == "public":
            connection.execute("GRANT CREATE ON SCHEMA public TO mallory")
        else:
            connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION mallory".encode())
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC".encode())
        connection.execute("SET SESSION AUTHORIZATION mallory")
        for statements in (ALARM, TRAPS):
            connection.execute(statements.replace("hers.", f"{schema}.").encode())
        kinds = "SELECT count(*) FROM pg_proc WHERE pronamespace = %s::regnamespace"
        (planted,) = connection.execute(kinds, [schema]).fetchone() or (0,)
        assert planted > 3000


def quietly(conninfo: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A superuser's connection that looks into pg_catalog alone."""
    safe = make_conninfo(conninfo, user="postgres", options="-csearch_path=pg_catalog")
    return psycopg.connect(safe, autocommit=True)


@pytest.fixture
def by(server: EmbeddedPostgres) -> str:
    """Who migrates: a superuser on 15, and somebody with just the rights for it on 18."""
    return "postgres" if isinstance(server, Postgres15) else "deployer"


@pytest.fixture
def trapped(server: EmbeddedPostgres, by: str) -> Iterator[Callable[[Place], Trapped]]:
    """Makes the database `app` with her traps in it."""

    def make(place: Place) -> Trapped:
        clone(server, "app", f"template_{place.schema}", by)
        with administrator(server) as connection:
            connection.execute(f"ALTER DATABASE app SET search_path = {place.search_path}".encode())
            if place.schema != "public":
                connection.execute("GRANT CREATE ON DATABASE app TO mallory")
        return Trapped(server.conninfo("app", by), place.schema)

    yield make
    with administrator(server) as connection:
        for name in ("app", "clean"):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"DROP ROLE IF EXISTS {ROLES}".encode())


def clone(server: EmbeddedPostgres, name: str, template: str, owner: str) -> str:
    with administrator(server) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)
            )
        )
    return server.conninfo(name, owner)


@pytest.fixture(scope="module")
def clean_contents() -> dict[EmbeddedPostgres, str]:
    """What `clean` has found already."""
    return {}


@pytest.fixture
def clean(
    server: EmbeddedPostgres, by: str, clean_contents: dict[EmbeddedPostgres, str]
) -> Callable[[], str]:
    """Says what is in a database without traps that is migrated."""

    def look() -> str:
        if server not in clean_contents:
            conninfo = clone(server, "clean", "template0", by)
            migrate(conninfo)
            clean_contents[server] = contents(conninfo)
        return clean_contents[server]

    return look


def contents(conninfo: str) -> str:
    """All that Roost has in a database: definitions, records and error codes."""
    text = ""
    for options in (
        ["--schema-only", "--exclude-schema=public|mallory|yoyo|sqitch|registry_*"],
        ["--data-only", "--inserts", "--table=roost.error_codes"],
    ):
        text += subprocess.run(
            [client_program("pg_dump"), *options, f"--dbname={superuser(conninfo)}"],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    with quietly(conninfo) as connection:
        records = connection.execute(
            "SELECT id, kind, sha256, objects FROM roost.migration_checksums ORDER BY id"
        ).fetchall()
    # Without the random word that guards a dump.
    return re.sub(r"(?m)^(\\(un)?restrict .*|-- Dumped .*)$", "", text) + f"\n{records}"


def superuser(conninfo: str) -> str:
    return make_conninfo(conninfo, user="postgres")


def schemas(conninfo: str) -> set[str]:
    with quietly(conninfo) as connection:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN"
            " ('information_schema', 'public', 'mallory', 'sqitch', 'yoyo')"
        )
        return {name for (name,) in found}


@pytest.mark.parametrize("place", [PUBLIC, FIRST, AMONG], ids=lambda it: it.search_path)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT '{1}'::pg_catalog.oid[] <@ '{1}'::pg_catalog.oid[]",
        "SELECT concat('a'::pg_catalog.text, 'b'::pg_catalog.name)",
        "SELECT format('%s %s %s'::text, 'a'::text, 1, 'b'::text)",
        "SELECT FROM pg_catalog.pg_class WHERE relowner = 'postgres'::regrole",
    ],
)
def test_the_traps_catch(trapped: Callable[[Place], Trapped], place: Place, statement: str) -> None:
    """Else the other tests would show nothing."""
    app = trapped(place)
    assert app.loot == []
    with psycopg.connect(app.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())
        user = connection.info.user
    is_superuser = "on" if user == "postgres" else "off"
    assert (user, is_superuser) in {(who, su) for who, su, _what in app.loot}


@pytest.mark.parametrize("place", [PUBLIC, FIRST], ids=lambda it: it.schema)
def test_roost(trapped: Callable[[Place], Trapped], clean: Callable[[], str], place: Place) -> None:
    app = trapped(place)
    assert status(app.conninfo).applied == []
    migration_sql(app.conninfo)
    assert migrate(app.conninfo) == []
    assert app.loot == []
    expected = clean()
    assert contents(app.conninfo) == expected
    assert migrate(app.conninfo) == []
    assert status(app.conninfo).up_to_date
    assert status(make_conninfo(app.conninfo, user="roost_gateway")).up_to_date
    assert verify(app.conninfo) == []
    rollback_sql(app.conninfo, everything=True)
    rollback(app.conninfo)
    migrate(app.conninfo)
    assert contents(app.conninfo) == expected
    rollback(app.conninfo, everything=True)
    assert schemas(app.conninfo) == set()
    assert app.loot == []


@pytest.mark.parametrize("place", [PUBLIC, FIRST], ids=lambda it: it.schema)
def test_plain_yoyo(
    trapped: Callable[[Place], Trapped], clean: Callable[[], str], place: Place
) -> None:
    app = trapped(place)
    with quietly(app.conninfo) as connection:
        owner = conninfo_to_dict(app.conninfo)["user"]
        connection.execute(f"CREATE SCHEMA yoyo AUTHORIZATION {owner}".encode())

    def yoyo(*arguments: str) -> None:
        subprocess.run(
            [Path(sys.executable).parent / "yoyo", *arguments, "--batch"],
            cwd=REPOSITORY,
            env={**os.environ, "YOYO_DATABASE_URL": yoyo_url(app.conninfo)},
            capture_output=True,
            check=True,
        )

    yoyo("apply")
    assert app.loot == []
    assert contents(app.conninfo) == clean()
    yoyo("rollback", "--all")
    assert schemas(app.conninfo) == set()
    assert app.loot == []


@pytest.mark.parametrize("place", [PUBLIC, FIRST], ids=lambda it: it.schema)
def test_printed_sql(
    trapped: Callable[[Place], Trapped],
    clean: Callable[[], str],
    place: Place,
    folder: Path,
) -> None:
    """As it says: part by part, each in one transaction or outside."""
    app = trapped(place)
    parts = re.split(
        r"(?m)^(?=-- .*, (?:in one|outside a) transaction\b)", migration_sql(app.conninfo)
    )
    assert len(parts) > 10
    for part in parts:
        run_psql(
            app.conninfo, folder, part, bare="outside a transaction" in part.partition("\n")[0]
        )
    assert app.loot == []
    # Nothing but the records, which whoever applies it writes.
    assert contents(app.conninfo).partition("\n[")[0] == clean().partition("\n[")[0]
    for path in sorted((REPOSITORY / "db" / "schema").glob("*.rollback.sql"), reverse=True):
        migration = path.with_name(path.name.replace(".rollback", "")).read_text()
        run_psql(
            app.conninfo,
            folder,
            path.read_text(),
            bare="-- transactional: false" in migration,
        )
    assert schemas(app.conninfo) == set()
    assert app.loot == []


def run_psql(conninfo: str, folder: Path, text: str, *, bare: bool) -> None:
    (folder / "part.sql").write_text(text)
    subprocess.run(
        [
            client_program("psql"),
            "--no-psqlrc",
            "--quiet",
            *([] if bare else ["--single-transaction"]),
            "--set=ON_ERROR_STOP=1",
            f"--file={folder / 'part.sql'}",
            f"--dbname={conninfo}",
        ],
        capture_output=True,
        check=True,
    )


@pytest.mark.debian
@pytest.mark.parametrize("place", [PUBLIC, AMONG], ids=lambda it: it.schema)
def test_sqitch(
    trapped: Callable[[Place], Trapped], clean: Callable[[], str], place: Place, tmp_path: Path
) -> None:
    app = trapped(place)
    export(tmp_path / "project")
    sqitch = Sqitch(tmp_path / "home", tmp_path / "project", app.conninfo)
    sqitch("deploy", "--verify")
    assert app.loot == []
    assert contents(app.conninfo) == clean()
    sqitch("verify")
    assert adopt(app.conninfo)
    assert migrate(app.conninfo) == []
    sqitch("deploy", "--log-only")
    sqitch("revert", "-y")
    assert schemas(app.conninfo) == set()
    assert app.loot == []


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("place", [PUBLIC], ids=lambda it: it.schema)
def test_what_looks_like_the_registry_of_sqitch(
    trapped: Callable[[Place], Trapped], place: Place, disguise: str
) -> None:
    app = trapped(place)
    before, kind, after = DISGUISES[disguise]
    with quietly(app.conninfo) as connection:
        connection.execute("SET SESSION AUTHORIZATION mallory")
        text = before + REGISTRY.replace("{1}", kind) + after
        connection.execute(text.replace("hers.", f"{place.schema}.").encode())
        connection.execute(f"TRUNCATE {place.schema}.loot".encode())
        connection.execute(f"ALTER SEQUENCE {place.schema}.alarm RESTART".encode())
    assert app.loot == []
    assert migrate(app.conninfo) == []
    assert status(app.conninfo).up_to_date
    with pytest.raises(MigrationError, match="sqitch has deployed nothing of Roost"):
        adopt(app.conninfo)
    rollback(app.conninfo, everything=True)
    assert app.loot == []
    # It is no empty threat, but that a superuser is above policies.
    with psycopg.connect(app.conninfo, autocommit=True) as connection:
        connection.execute(
            f"SELECT FROM {place.schema}.changes"
            " WHERE project = 'roost' AND change OPERATOR(pg_catalog.~~) 'schema/%'".encode()
        )
        is_above = connection.info.user == "postgres" and disguise == "policy"
    assert (disguise in {what for _who, _su, what in app.loot}) != is_above


@pytest.mark.parametrize("place", [FIRST], ids=lambda it: it.schema)
@pytest.mark.parametrize(
    "kind",
    [
        "CREATE VIEW yoyo._yoyo_migration AS"
        " SELECT 'x'::text AS migration_id, now() AS applied_at_utc WHERE mallory.ring('view')",
        "CREATE TABLE yoyo._yoyo_migration (migration_id text, applied_at_utc timestamp);"
        " INSERT INTO yoyo._yoyo_migration VALUES ('x', NULL);"
        " ALTER TABLE yoyo._yoyo_migration ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY policy ON yoyo._yoyo_migration USING (mallory.ring('policy'))",
        "CREATE TABLE yoyo._yoyo_migration (migration_id text, applied_at_utc timestamp);"
        " CREATE FUNCTION yoyo.constant(text) RETURNS text IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM mallory.ring(''index''); RETURN $1; END';"
        " CREATE INDEX ON yoyo._yoyo_migration (yoyo.constant('x'))",
        "CREATE TABLE yoyo.yoyo_lock (locked integer PRIMARY KEY, ctime timestamp, pid integer);"
        " CREATE FUNCTION yoyo.note() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM mallory.ring(''trigger''); RETURN new; END';"
        " CREATE TRIGGER note BEFORE INSERT ON yoyo.yoyo_lock FOR EACH ROW"
        " EXECUTE FUNCTION yoyo.note()",
    ],
    ids=["view", "policy", "index", "trigger"],
)
def test_a_schema_yoyo_of_hers(
    trapped: Callable[[Place], Trapped], place: Place, kind: str
) -> None:
    app = trapped(place)
    with quietly(app.conninfo) as connection:
        connection.execute("SET SESSION AUTHORIZATION mallory")
        connection.execute("CREATE SCHEMA yoyo")
        connection.execute("GRANT ALL ON SCHEMA yoyo TO PUBLIC")
        connection.execute(kind.encode())
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA yoyo TO PUBLIC")
        connection.execute("TRUNCATE mallory.loot")
        connection.execute("ALTER SEQUENCE mallory.alarm RESTART")
    with contextlib.suppress(MigrationError):
        status(app.conninfo)
    assert app.loot == []
    with pytest.raises(MigrationError, match="yoyo"):
        migrate(app.conninfo)
    assert app.loot == []
    assert schemas(app.conninfo) == set()


@pytest.mark.parametrize(
    "kind",
    [
        "CREATE FUNCTION roost.get_migration_checksums(OUT id text, OUT kind text, OUT sha256 text)"
        " RETURNS SETOF record LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM mallory.ring(''function''); RETURN; END'",
        "CREATE TABLE roost.migration_checksums (id text, kind text, sha256 text, objects jsonb);"
        " ALTER TABLE roost.migration_checksums ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY policy ON roost.migration_checksums USING (mallory.ring('policy'))",
        "CREATE TABLE roost.migration_checksums (id text, kind text, sha256 text, objects jsonb);"
        " CREATE FUNCTION roost.constant(text) RETURNS text IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM mallory.ring(''index''); RETURN $1; END';"
        " CREATE INDEX ON roost.migration_checksums (roost.constant('x'))",
    ],
    ids=["function", "policy", "index"],
)
def test_a_schema_roost_of_hers(
    server: EmbeddedPostgres, by: str, trapped: Callable[[Place], Trapped], kind: str
) -> None:
    """Where the roles of Roost are there, since another database has it."""
    migrate(clone(server, "clean", "template0", by))
    app = trapped(FIRST)
    with quietly(app.conninfo) as connection:
        connection.execute("SET SESSION AUTHORIZATION mallory")
        connection.execute("CREATE SCHEMA roost")
        connection.execute("GRANT ALL ON SCHEMA roost TO PUBLIC")
        connection.execute(kind.encode())
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA roost TO PUBLIC")
        connection.execute("TRUNCATE mallory.loot")
        connection.execute("ALTER SEQUENCE mallory.alarm RESTART")
    assert status(app.conninfo).applied == []
    with pytest.raises(MigrationError, match="There is a schema roost, which is not Roost's"):
        migrate(app.conninfo)
    assert app.loot == []


def test_who_asks_whether_sqitch_manages_it(trapped: Callable[[Place], Trapped]) -> None:
    """Nor does somebody's table beside a table `projects` count: a shop has such too."""
    app = trapped(FIRST)
    with quietly(app.conninfo) as connection:
        connection.execute("CREATE ROLE shop")
        try:
            connection.execute("CREATE SCHEMA registry_shop AUTHORIZATION shop")
            connection.execute("SET SESSION AUTHORIZATION shop")
            connection.execute(
                REGISTRY.replace("{1}", "text").replace("hers.", "registry_shop.").encode()
            )
            connection.execute("GRANT USAGE ON SCHEMA registry_shop TO PUBLIC")
            connection.execute("RESET SESSION AUTHORIZATION")
            assert managed_by_sqitch(connection) == ""
            # A deployer's does.
            connection.execute("CREATE ROLE roost_owner")
            connection.execute("GRANT roost_owner TO shop")
            assert managed_by_sqitch(connection) == "0009.messages"
        finally:
            connection.execute("DROP SCHEMA registry_shop CASCADE")
            connection.execute("DROP ROLE shop")
