"""Installing into somebody's own server: the rights that takes, and what is shared with others."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from yoyo import get_backend, read_migrations

from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationError
from roost.database.migrations import check, migrate, rollback, status
from roost.database.verification import verify
from tests.migrating import add_next_release, execute, rows
from tests.support import (
    REPOSITORY,
    Postgres15,
    Postgres16,
    Postgres17,
    administrator,
    client_program,
    pgtap_script,
    running,
    yoyo_url,
)

SCHEMA = REPOSITORY / "db" / "schema"
ROLLBACKS = sorted(SCHEMA.glob("*.rollback.sql"), reverse=True)
FILES = [SCHEMA / path.name.replace(".rollback.sql", ".sql") for path in reversed(ROLLBACKS)]
ROLES = {
    "roost_anon",
    "roost_api",
    "roost_gateway",
    "roost_owner",
    "roost_service",
    "roost_user",
}

# For what is the same in all versions.
OLDEST_AND_NEWEST = pytest.mark.parametrize(
    "server", [Postgres15, EmbeddedPostgres], ids=["15", "18"], indirect=True
)

# Rights are the cluster's: memberships with their options, which PostgreSQL 16 brought.
MEMBERSHIPS = """
    SELECT to_jsonb(granted) - 'oid' FROM pg_auth_members AS granted
    WHERE granted.roleid::regrole::text LIKE 'roost%' ORDER BY 1
"""

# What a database has of the roles, whatever it may be: they can't be dropped while there is any.
LEFT_OVER = """
    SELECT kept.classid::regclass::text, kept.objid, kept.refobjid::regrole::text
    FROM pg_shdepend AS kept
    JOIN pg_database AS database ON database.oid = kept.dbid
    WHERE database.datname = current_database()
        AND kept.refclassid = 'pg_authid'::regclass
        AND kept.refobjid::regrole::text LIKE 'roost%'
"""


@pytest.fixture(
    scope="module",
    params=[Postgres15, Postgres16, Postgres17, EmbeddedPostgres],
    ids=["15", "16", "17", "18"],
)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server of these tests' own, of each version: roles are shared by all databases of one."""
    with running(request.param) as postgres:
        yield postgres


@pytest.fixture
def cluster(server: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """The server with nobody's databases and roles, and the roles deployer and colleague."""
    with administrator(server) as connection:
        connection.execute("CREATE ROLE deployer LOGIN CREATEROLE")
        connection.execute("CREATE ROLE colleague LOGIN CREATEROLE")
        yield server
        for drop, names in {
            "DROP DATABASE {} WITH (FORCE)": (
                "SELECT datname FROM pg_database"
                " WHERE datname NOT IN ('postgres', 'roost', 'template0', 'template1')"
            ),
            "DROP ROLE {}": "SELECT rolname FROM pg_roles WHERE rolname !~ '^(pg_|postgres$)'",
        }.items():
            found = [sql.Identifier(name) for (name,) in connection.execute(names.encode())]
            # In one statement where it can be: roles may have granted each other.
            for name in found if "DATABASE" in drop else [sql.SQL(", ").join(found)]:
                connection.execute(sql.SQL(drop).format(name))


def make_database(cluster: EmbeddedPostgres, name: str, owner: str = "deployer") -> str:
    """The connection string of a new database's owner."""
    with administrator(cluster) as connection:
        connection.execute(
            f"CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 STRATEGY file_copy".encode()
        )
    return cluster.conninfo(name, owner)


def superuser(conninfo: str) -> str:
    return make_conninfo(conninfo, user="postgres")


def roles(cluster: EmbeddedPostgres) -> set[str]:
    found = rows(
        cluster.conninfo("postgres"), "SELECT rolname FROM pg_roles WHERE rolname LIKE 'roost%'"
    )
    return {name for (name,) in found}


def version(cluster: EmbeddedPostgres) -> int:
    with administrator(cluster) as connection:
        return connection.info.server_version // 10_000


def refusal(conninfo: str) -> str:
    with pytest.raises(MigrationError) as error:
        migrate(conninfo)
    return str(error.value)


def roll_back(conninfo: str) -> None:
    rollback(conninfo, everything=True)


def dump(conninfo: str, *options: str) -> list[str]:
    """What is in a database, without the tool's own tables: nothing when it's new."""
    text = subprocess.run(
        [
            client_program("pg_dump"),
            "--exclude-schema=yoyo",
            *(options or ["--schema-only"]),
            f"--dbname={superuser(conninfo)}",
        ],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    settings = ("SET ", "SELECT pg_catalog.set_config")
    return [
        line for line in text.splitlines() if line and not line.startswith(("--", "\\", *settings))
    ]


def psql_file(conninfo: str, file: Path) -> str:
    """What psql complains about when it runs a file: in one transaction, where that may be."""
    migration = file.with_name(file.name.replace(".rollback", "")).read_text()
    bare = "-- transactional: false" in migration
    return psql(conninfo, *([] if bare else ["--single-transaction"]), f"--file={file}")


def psql(conninfo: str, *options: str | Path) -> str:
    """What psql complains about."""
    run = subprocess.run(
        [
            client_program("psql"),
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={conninfo}",
            *options,
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (run.returncode == 0) == ("ERROR:" not in run.stderr), run.stderr
    return run.stderr


def serves(conninfo: str) -> bool:
    """Whether the server finds the database as it should be, and can call functions in it."""
    gateway = make_conninfo(conninfo, user="roost_gateway")
    check(gateway)
    with psycopg.connect(gateway, autocommit=True) as connection:
        connection.execute("SET ROLE roost_anon")
        return connection.execute("SELECT api.ping()").fetchone() == ("pong",)


@contextlib.contextmanager
def in_background(action: Callable[[], object]) -> Iterator[None]:
    """Waits for the end of the action, and raises what it raised."""
    with ThreadPoolExecutor() as executor:
        future = executor.submit(action)
        yield
        future.result()


def await_lock(conninfo: str) -> None:
    """Until somebody in the cluster waits for a lock."""
    with psycopg.connect(superuser(conninfo), autocommit=True) as connection:
        waiting = b"SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        patience = time.monotonic() + 20
        while connection.execute(waiting).fetchone() is None:
            assert time.monotonic() < patience, "nobody waits"


@pytest.mark.parametrize(
    "right",
    [
        "ALTER DATABASE app OWNER TO deployer",
        "GRANT CREATE ON DATABASE app TO deployer; ALTER ROLE deployer NOINHERIT",
    ],
    ids=["owner", "somebody who may create and inherits nothing"],
)
def test_no_superuser_is_needed(cluster: EmbeddedPostgres, files: Path, right: str) -> None:
    conninfo = make_conninfo(make_database(cluster, "app", "postgres"), user="deployer")
    execute(superuser(conninfo), right)
    migrate(conninfo)
    said: list[str] = []
    migrate(conninfo, said.append)
    assert said == []
    assert serves(conninfo)
    assert status(conninfo).up_to_date
    assert verify(conninfo) == []
    # Outside a transaction as well.
    add_next_release(files)
    migrate(conninfo, directory=files)
    rollback(conninfo, directory=files, to="9.0.0")
    roll_back(conninfo)
    assert dump(conninfo) == []
    assert roles(cluster) == set()


@OLDEST_AND_NEWEST
def test_it_makes_no_difference_who_installs(cluster: EmbeddedPostgres) -> None:
    ours, theirs = make_database(cluster, "ours"), make_database(cluster, "theirs", "postgres")
    migrate(ours)
    migrate(theirs)
    assert [line.replace("deployer", "postgres") for line in dump(ours)] == dump(theirs)


@pytest.mark.parametrize("server", [Postgres16, Postgres17, EmbeddedPostgres], indirect=True)
def test_a_maker_of_roles_who_does_not_get_to_be_one(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    execute(superuser(conninfo), "ALTER ROLE deployer SET createrole_self_grant = 'inherit'")
    migrate(conninfo)
    assert serves(conninfo)


def test_a_second_database_of_the_same_deployer(cluster: EmbeddedPostgres) -> None:
    first, second = make_database(cluster, "first"), make_database(cluster, "second")
    migrate(first)
    memberships = rows(first, MEMBERSHIPS)
    # With the roles there is nothing left that takes this right.
    execute(superuser(first), "ALTER ROLE deployer NOCREATEROLE")
    migrate(second)
    assert rows(first, MEMBERSHIPS) == memberships
    assert serves(first)
    assert serves(second)
    assert dump(first) == dump(second)


@pytest.mark.parametrize("first_is_by", ["deployer", "postgres"])
def test_a_second_database_of_another_deployer(cluster: EmbeddedPostgres, first_is_by: str) -> None:
    first = make_database(cluster, "first", first_is_by)
    second = make_database(cluster, "second", "colleague")
    migrate(first)
    if version(cluster) == 15:
        # There CREATEROLE is a right over all roles.
        execute(superuser(second), "ALTER ROLE colleague NOCREATEROLE")
    cure = re.search(r"let (.*?) run (GRANT .*?;)", refusal(second))
    assert cure is not None
    by_deployer = first_is_by == "deployer" or version(cluster) == 15
    assert cure[1] == ("deployer or a superuser" if by_deployer else "a superuser")
    assert cure[2] == "GRANT roost_owner, roost_gateway TO colleague;"
    assert rows(second, "SELECT to_regnamespace('roost')") == [(None,)]
    execute(make_conninfo(first, user="deployer" if by_deployer else "postgres"), cure[2])
    migrate(second)
    assert serves(first)
    assert serves(second)


@pytest.mark.parametrize("server", [Postgres15], indirect=True)
def test_another_deployer_who_may_grant_any_role(cluster: EmbeddedPostgres) -> None:
    migrate(make_database(cluster, "first"))
    second = make_database(cluster, "second", "colleague")
    migrate(second)
    assert serves(second)


def test_a_member_who_may_not_become_the_owner(cluster: EmbeddedPostgres) -> None:
    """What the message says to do is enough, also where half the rights or roles are there."""
    conninfo = make_database(cluster, "app")
    execute(
        superuser(conninfo),
        "CREATE ROLE roost_owner; CREATE ROLE roost_api; CREATE ROLE roost_gateway LOGIN NOINHERIT;"
        " ALTER ROLE deployer NOCREATEROLE",
    )
    if version(cluster) >= 16:
        execute(superuser(conninfo), "GRANT roost_owner TO deployer WITH SET FALSE")
    said = refusal(conninfo)
    cures = re.findall(r"a superuser run (.*?;)", said)
    assert [cure.partition(" TO ")[0] for cure in cures] == [
        "ALTER ROLE deployer CREATEROLE;",
        "GRANT roost_owner, roost_gateway",
        "GRANT roost_api",
    ], said
    for cure in cures:
        execute(superuser(conninfo), cure)
    migrate(conninfo)
    assert serves(conninfo)


@OLDEST_AND_NEWEST
@pytest.mark.parametrize(
    ("role", "attributes", "cure"),
    [
        ("roost_api", "BYPASSRLS", "NOBYPASSRLS"),
        ("roost_user", "SUPERUSER", "NOSUPERUSER"),
        ("roost_owner", "SUPERUSER BYPASSRLS", "NOSUPERUSER NOBYPASSRLS"),
        ("roost_gateway", "LOGIN", "NOINHERIT"),
        ("roost_gateway", "NOINHERIT", "LOGIN"),
        ("roost_gateway", "SUPERUSER BYPASSRLS", "NOSUPERUSER NOBYPASSRLS NOINHERIT LOGIN"),
    ],
)
def test_a_role_that_could_do_too_much_or_too_little(
    cluster: EmbeddedPostgres, role: str, attributes: str, cure: str
) -> None:
    conninfo = make_database(cluster, "app")
    execute(superuser(conninfo), f"CREATE ROLE {role} {attributes}")
    said = refusal(conninfo)
    assert (
        f"Role {role} is not what Roost can use: let a superuser run ALTER ROLE {role} {cure};"
        in said
    )
    assert roles(cluster) == {role}
    # Where the role is not the deployer's, there is another message: who is to be its member.
    for statement in re.findall(r"a superuser run (.*?;)", said):
        execute(superuser(conninfo), statement)
    migrate(conninfo)
    assert serves(conninfo)
    attributes_now = dict(
        rows(
            conninfo,
            "SELECT rolname, concat_ws(' ', rolsuper, rolbypassrls, rolinherit, rolcanlogin)"
            " FROM pg_roles WHERE rolname LIKE 'roost%'",
        )
    )
    assert attributes_now.pop("roost_gateway") == "f f f t"
    assert {text[:3] for text in attributes_now.values()} == {"f f"}


def test_a_database_goes_and_another_stays(cluster: EmbeddedPostgres) -> None:
    first, second = make_database(cluster, "first"), make_database(cluster, "second")
    before = dump(first)
    migrate(first)
    migrate(second)
    memberships = rows(second, MEMBERSHIPS)
    kept = dump(second)
    roll_back(first)
    assert dump(first) == before
    assert rows(first, LEFT_OVER) == []
    assert rows(second, MEMBERSHIPS) == memberships
    assert dump(second) == kept
    assert serves(second)
    # It can come back, and go by being dropped. The roles go with the last one.
    migrate(first)
    assert serves(first)
    execute(cluster.conninfo("postgres"), "DROP DATABASE first")
    assert serves(second)
    roll_back(second)
    assert roles(cluster) == set()


def test_the_last_one_goes_by_somebody_who_may_not_drop_its_roles(
    cluster: EmbeddedPostgres,
) -> None:
    first = make_database(cluster, "first")
    second = make_database(cluster, "second", "colleague")
    migrate(first)
    execute(superuser(first), "GRANT roost_owner, roost_gateway TO colleague")
    execute(superuser(first), "ALTER ROLE colleague NOCREATEROLE")
    migrate(second)
    roll_back(first)
    assert serves(second)
    roll_back(second)
    assert rows(second, LEFT_OVER) == []
    assert roles(cluster) == ROLES
    migrate(second)
    assert serves(second)


def test_two_databases_at_once(cluster: EmbeddedPostgres) -> None:
    """The second wants the same roles while the first has not yet committed them."""
    first, second = make_database(cluster, "first"), make_database(cluster, "second")
    with psycopg.connect(first) as connection:
        connection.execute(FILES[0].read_bytes())
        with in_background(lambda: migrate(second)):
            await_lock(first)
            connection.commit()
    assert serves(second)


def test_one_goes_while_another_comes(cluster: EmbeddedPostgres) -> None:
    first, second = make_database(cluster, "first"), make_database(cluster, "second")
    migrate(first)
    with psycopg.connect(second) as connection:
        connection.execute(FILES[0].read_bytes())
        with in_background(lambda: roll_back(first)):
            await_lock(first)
            connection.commit()
    assert rows(first, "SELECT to_regnamespace('roost')") == [(None,)]
    # The other has got no more than its roles, and finds them there.
    assert roles(cluster) == ROLES
    for file in FILES[1:]:
        assert psql_file(second, file) == ""


@OLDEST_AND_NEWEST
def test_a_dump_is_restored_by_who_made_it(cluster: EmbeddedPostgres) -> None:
    """Without a superuser: pg_dump hands objects over before it gives the rights for that."""
    conninfo = make_database(cluster, "app")
    migrate(conninfo)
    text = subprocess.run(
        [client_program("pg_dump"), f"--dbname={conninfo}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    restored = make_database(cluster, "restored")
    subprocess.run(
        [
            client_program("psql"),
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={restored}",
        ],
        # Of a setting that PostgreSQL 15 does not have.
        input=text.replace("SET transaction_timeout = 0;", ""),
        check=True,
        capture_output=True,
        text=True,
    )
    assert verify(restored) == []
    assert serves(restored)
    said: list[str] = []
    migrate(restored, said.append)
    assert said == []


@OLDEST_AND_NEWEST
def test_psql(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    for _ in range(2):
        for file in FILES:
            assert psql_file(conninfo, file) == ""
        for file in ROLLBACKS:
            assert "ERROR" not in psql_file(conninfo, file)
        assert dump(conninfo) == []
        assert roles(cluster) == set()
    assert roles(cluster) == set()


# What other applications of the database may have: rights for all, by default too, row-level
# security, a schema extensions of their own, and a trigger on every change of the schema.
OTHERS = """
    CREATE ROLE other;
    GRANT ALL ON DATABASE app TO other;
    ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON SCHEMAS TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON TABLES TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON SEQUENCES TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON FUNCTIONS TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE deployer GRANT ALL ON TYPES TO PUBLIC;
    GRANT ALL ON SCHEMA public TO PUBLIC;

    CREATE TABLE public.changes (tag text);
    CREATE FUNCTION public.note_change() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
        AS $$ BEGIN INSERT INTO public.changes VALUES (tg_tag); END $$;
    CREATE EVENT TRIGGER note_change ON ddl_command_end EXECUTE FUNCTION public.note_change();

    SET ROLE other;
    CREATE TYPE public.size AS ENUM ('small', 'large');
    CREATE TABLE public.users (id bigserial PRIMARY KEY, email text, size public.size);
    INSERT INTO public.users (email, size) VALUES ('ada@example.com', 'small');
    GRANT ALL ON public.users TO PUBLIC;
    CREATE SCHEMA shop;
    CREATE TABLE shop.orders (user_id bigint REFERENCES public.users, total numeric);
    INSERT INTO shop.orders VALUES (1, 9.99);
    ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY orders_all ON shop.orders USING (true);
    CREATE FUNCTION shop.token(password text) RETURNS text LANGUAGE sql RETURN password;
    CREATE SCHEMA extensions;
    GRANT USAGE ON SCHEMA extensions TO PUBLIC;
    CREATE EXTENSION citext WITH SCHEMA extensions;
    CREATE TABLE shop.names (name extensions.citext UNIQUE);
    INSERT INTO shop.names VALUES ('Ada');
"""


@OLDEST_AND_NEWEST
def test_beside_other_applications(cluster: EmbeddedPostgres, folder: Path) -> None:
    conninfo = make_database(cluster, "app")
    execute(superuser(conninfo), OTHERS)
    (folder / "0001.theirs.sql").write_text("CREATE TABLE public.theirs ();\n")
    theirs = yoyo_url(superuser(conninfo)).replace("schema=yoyo", "schema=public")
    with get_backend(theirs) as backend:
        backend.apply_migrations(backend.to_apply(read_migrations(str(folder))))
    noted = "--exclude-table-data=public.changes"
    before = dump(conninfo, noted)

    migrate(conninfo)
    assert serves(conninfo)
    others = [f"--exclude-schema={schema}" for schema in ("api", "realtime", "roost")]
    ours = [line for line in dump(conninfo, noted, *others) if line not in before]
    # What they share has one extension more.
    assert [line for line in ours if not re.search("roost_|pg_trgm", line)] == []
    # Nor are the tool's own tables given away.
    assert rows(conninfo, "SELECT has_schema_privilege('public', 'yoyo', 'USAGE')") == [(False,)]
    assert catalogue_failures(conninfo) == []

    with get_backend(theirs) as backend:
        assert not backend.to_apply(read_migrations(str(folder)))
    roll_back(conninfo)
    assert dump(conninfo, noted) == before
    assert rows(conninfo, LEFT_OVER) == []


def catalogue_failures(conninfo: str) -> list[str]:
    """What db/tests/catalogue.sql finds, with pgTAP in a schema that goes again."""
    with psycopg.connect(superuser(conninfo)) as connection:
        connection.execute("CREATE SCHEMA tap")
        connection.execute("GRANT USAGE ON SCHEMA tap TO PUBLIC")
        connection.execute("SET LOCAL search_path = tap")
        connection.execute(pgtap_script().encode())
        text = (REPOSITORY / "db" / "tests" / "catalogue.sql").read_text()
        cursor = connection.execute(
            text.replace("BEGIN;", "", 1).replace("\nROLLBACK;", "").encode()
        )
        found = []
        while True:
            if cursor.description is not None:
                found += [str(line) for (line,) in cursor.fetchall()]
            if not cursor.nextset():
                break
        connection.rollback()
    assert "1.." in found[0]
    return [line for line in found[1:] if not line.startswith("ok ")]


@OLDEST_AND_NEWEST
def test_what_others_came_to_use_stays(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    migrate(conninfo)
    execute(conninfo, "CREATE TABLE public.names (name extensions.citext)")
    roll_back(conninfo)
    schemas = "SELECT to_regnamespace('extensions')::text, to_regnamespace('roost')::text"
    assert rows(conninfo, schemas) == [("extensions", None)]
    assert rows(conninfo, LEFT_OVER) == []
    migrate(conninfo)
    assert serves(conninfo)
    execute(conninfo, "DROP TABLE public.names")
    roll_back(conninfo)
    assert dump(conninfo) == []


@OLDEST_AND_NEWEST
def test_schemas_of_somebody_else(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    for schema in ("api", "realtime", "roost"):
        execute(superuser(conninfo), f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.theirs ()")
    before = dump(conninfo)
    cures = re.findall(
        r"There is a schema (\w+), which is not Roost's: choose another database, or let postgres"
        r" run (ALTER SCHEMA .*?;)",
        refusal(conninfo),
    )
    assert [schema for schema, _cure in cures] == ["api", "realtime", "roost"]
    assert dump(conninfo) == before
    assert roles(cluster) == set()
    for _schema, cure in cures:
        execute(superuser(conninfo), cure)
    migrate(conninfo)
    assert serves(conninfo)


@OLDEST_AND_NEWEST
def test_all_that_is_missing_is_said_at_once(cluster: EmbeddedPostgres) -> None:
    conninfo = make_conninfo(make_database(cluster, "app", "postgres"), user="deployer")
    execute(
        superuser(conninfo),
        "ALTER ROLE deployer NOCREATEROLE; CREATE SCHEMA api; CREATE SCHEMA extensions;"
        " CREATE EXTENSION citext WITH SCHEMA public",
    )
    before = dump(conninfo)
    complaints = [
        "Role deployer cannot install Roost in database app yet",
        "Role deployer may make no schema here: let postgres run GRANT CREATE ON DATABASE app TO"
        " deployer;",
        "Role deployer may not make roost_owner, roost_api, roost_anon, roost_user, roost_service,"
        " roost_gateway: let a superuser run ALTER ROLE deployer CREATEROLE;",
        "There is a schema api, which is not Roost's: choose another database, or let postgres run"
        " ALTER SCHEMA api RENAME TO other_api;",
        "Role deployer may not open the schema extensions to others: let postgres run GRANT USAGE"
        " ON SCHEMA extensions TO deployer WITH GRANT OPTION;",
        "The extension citext is in schema public: run CREATE SCHEMA IF NOT EXISTS extensions;"
        " ALTER EXTENSION citext SET SCHEMA extensions;",
    ]
    said = refusal(conninfo)
    assert rows(conninfo, "SELECT to_regnamespace('yoyo')") == [(None,)]
    execute(superuser(conninfo), "CREATE SCHEMA yoyo AUTHORIZATION deployer")
    plain = subprocess.run(
        [Path(sys.executable).parent / "yoyo", "apply", "--batch"],
        cwd=REPOSITORY,
        env={**os.environ, "YOYO_DATABASE_URL": yoyo_url(conninfo)},
        capture_output=True,
        check=False,
        text=True,
    )
    by_hand = psql(conninfo, "--single-transaction", f"--file={FILES[0]}")
    for complaint in complaints:
        assert complaint in said
        assert complaint in plain.stderr
        assert complaint in by_hand
    assert dump(conninfo) == before
    assert roles(cluster) == set()

    for cure in re.findall(r"run ([A-Z].*?;)", said):
        execute(superuser(conninfo), cure)
    execute(superuser(conninfo), "ALTER EXTENSION citext SET SCHEMA extensions")
    migrate(conninfo)
    assert serves(conninfo)


@OLDEST_AND_NEWEST
def test_an_encoding_that_does_not_do(cluster: EmbeddedPostgres) -> None:
    with administrator(cluster) as connection:
        connection.execute(
            "CREATE DATABASE latin OWNER deployer TEMPLATE template0 ENCODING 'LATIN1'"
            " LOCALE_PROVIDER libc LOCALE 'C'"
        )
    said = psql(cluster.conninfo("latin", "deployer"), "--single-transaction", f"--file={FILES[0]}")
    assert "The database has the encoding LATIN1: make one with ENCODING 'UTF8'" in said


@pytest.mark.parametrize("server", [EmbeddedPostgres], indirect=True)
@pytest.mark.parametrize(
    ("trusted", "complaint"),
    [
        (None, "The server has no extension citext: install PostgreSQL's contrib package there"),
        ("false", "The extension citext is not a trusted one here: let a superuser run CREATE"),
    ],
)
def test_a_server_without_citext(
    cluster: EmbeddedPostgres, folder: Path, trusted: str | None, complaint: str
) -> None:
    """From 18 on a database can be told to look for extensions elsewhere."""
    conninfo = make_database(cluster, "app")
    (folder / "extension").mkdir()
    if trusted is not None:
        copy_extension(cluster, folder, "citext", trusted)
        copy_extension(cluster, folder, "pg_trgm", "true")
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    execute(superuser(conninfo), f"ALTER DATABASE app SET extension_control_path = '{folder}'")
    said = refusal(conninfo)
    assert complaint in said
    assert roles(cluster) == set()
    if trusted is not None:
        for cure in re.findall(r"(?:run )?((?:CREATE|GRANT) .*?;)", said):
            execute(superuser(conninfo), cure)
        migrate(conninfo)
        assert serves(conninfo)


def copy_extension(cluster: EmbeddedPostgres, folder: Path, name: str, trusted: str) -> None:
    (folder / "extension").mkdir(exist_ok=True)
    for path in (cluster.binaries.parent / "share" / "extension").glob(f"{name}*"):
        text = re.sub(r"(?m)^trusted = .*$", f"trusted = {trusted}", path.read_text())
        (folder / "extension" / path.name).write_text(text)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


@pytest.mark.parametrize("server", [EmbeddedPostgres], indirect=True)
@pytest.mark.parametrize("trusted", [None, "false"])
def test_a_server_without_pg_trgm(
    cluster: EmbeddedPostgres, folder: Path, trusted: str | None
) -> None:
    conninfo = make_database(cluster, "app")
    copy_extension(cluster, folder, "citext", "true")
    if trusted is not None:
        copy_extension(cluster, folder, "pg_trgm", trusted)
    execute(superuser(conninfo), f"ALTER DATABASE app SET extension_control_path = '{folder}'")
    said = refusal(conninfo)
    assert "The extension pg_trgm can't be made here" in said
    assert "postgresql-contrib" in said
    if trusted is None:
        copy_extension(cluster, folder, "pg_trgm", "true")
    for cure in re.findall(r"run (CREATE EXTENSION .*?;)", said):
        execute(superuser(conninfo), cure)
    migrate(conninfo)
    assert serves(conninfo)


@OLDEST_AND_NEWEST
def test_pg_trgm_is_somewhere_else(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    execute(
        superuser(conninfo),
        'CREATE SCHEMA "Their Tools"; CREATE EXTENSION pg_trgm WITH SCHEMA "Their Tools"',
    )
    said = refusal(conninfo)
    assert "The extension pg_trgm is not open to Roost" in said
    for cure in re.findall(r"(?:run )?((?:CREATE|GRANT) .*?;)", said):
        execute(superuser(conninfo), cure)
    migrate(conninfo)
    assert serves(conninfo)
    suggested = 'SELECT roost.suggest_words(\'[{"words": "heron", "is_exact": false}]\', NULL)'
    assert rows(superuser(conninfo), suggested) == [(None,)]
    roll_back(conninfo)
    where = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'"
    assert rows(conninfo, where) == [('"Their Tools"',)]


@OLDEST_AND_NEWEST
def test_a_database_that_opens_nothing_by_default(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    execute(
        superuser(conninfo),
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
        " ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC",
    )
    for extension in ("citext", "pg_trgm"):
        said = refusal(conninfo)
        assert f"The extension {extension} is not open to Roost" in said
        for cure in re.findall(r"(?:run )?((?:CREATE|GRANT) .*?;)", said):
            execute(superuser(conninfo), cure)
    migrate(conninfo)
    assert serves(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET ROLE roost_api")
        connection.execute("SELECT 'a'::extensions.citext OPERATOR(extensions.=) 'A'")


@OLDEST_AND_NEWEST
def test_what_another_tool_installed(cluster: EmbeddedPostgres) -> None:
    conninfo = make_database(cluster, "app")
    for file in FILES:
        psql_file(conninfo, file)
    again = psql(conninfo, "--single-transaction", f"--file={FILES[0]}")
    assert "Schema roost is Roost's, but the tool that runs this did not make it" in again
