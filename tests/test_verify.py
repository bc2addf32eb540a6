"""What roost verify finds of what was done to a database behind the back of its migrations."""

from pathlib import Path

import psycopg
import pytest

from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migrations import migrate
from roost.database.verification import FILE, catalogue_text, describe, verify
from tests.migrating import add_migration, execute, rows
from tests.support import REPOSITORY, administrator, new_database


@pytest.mark.parametrize("kind", ["postgres", "postgres15", "postgres16", "postgres17"])
def test_the_catalogue_is_that_of_a_fresh_install(
    request: pytest.FixtureRequest, kind: str
) -> None:
    server: EmbeddedPostgres = request.getfixturevalue(kind)
    with new_database(server) as conninfo:
        migrate(conninfo)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            text = catalogue_text(connection, MigrationFiles.read())
        assert (REPOSITORY / "db" / FILE).read_text() == text, "run make catalogue"
        assert verify(conninfo) == []
        name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
        assert verify(server.conninfo(str(name), "roost_gateway")) == []


@pytest.mark.parametrize(
    ("done", "finding"),
    [
        ("DROP INDEX roost.messages_device_id_idx", "missing  index roost.messages_device_id_idx"),
        (
            "ALTER TABLE roost.users DROP COLUMN last_login",
            "missing  column roost.users.last_login",
        ),
        ("ALTER TABLE roost.users ADD extra text", "extra    column roost.users.extra"),
        ("CREATE TABLE roost.extra ()", "extra    table roost.extra"),
        (
            "ALTER TABLE roost.users ALTER plan_type DROP DEFAULT",
            "differs  column roost.users.plan_type: nothing instead of default 'free'",
        ),
        ("ALTER TABLE roost.devices DISABLE ROW LEVEL SECURITY", "row security=f instead of"),
        ("ALTER TABLE roost.devices OWNER TO postgres", "owner=postgres instead of owner=roost_ow"),
        (
            "DROP POLICY messages_insert_member ON roost.messages",
            "missing  policy messages_insert_member on roost.messages",
        ),
        (
            "ALTER POLICY messages_insert_member ON roost.messages WITH CHECK (true)",
            "differs  policy messages_insert_member on roost.messages: check=",
        ),
        (
            "CREATE POLICY all_of_it ON roost.messages USING (true)",
            "extra    policy all_of_it on roost.messages",
        ),
        ("DROP FUNCTION api.ping()", "missing  function api.ping()"),
        (
            "CREATE OR REPLACE FUNCTION api.ping() RETURNS text LANGUAGE sql STABLE"
            " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT ''pang'''",
            "differs  function api.ping(): body=",
        ),
        (
            "ALTER FUNCTION api.ping() SECURITY INVOKER",
            "api.ping(): definer=f instead of definer=t",
        ),
        (
            "ALTER FUNCTION api.ping() RESET search_path",
            "settings={} instead of settings={search_path",
        ),
        (
            "ALTER FUNCTION api.ping() SET search_path = public",
            "settings={search_path=public} instead",
        ),
        (
            "ALTER FUNCTION api.ping() OWNER TO postgres",
            "owner=postgres instead of owner=roost_api",
        ),
        (
            "GRANT EXECUTE ON FUNCTION api.get_me() TO PUBLIC",
            "extra    function api.get_me() grant EXECUTE to PUBLIC",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION api.get_me() FROM roost_user",
            "missing  function api.get_me() grant EXECUTE to roost_user",
        ),
        (
            "GRANT SELECT ON roost.users TO roost_anon",
            "extra    relation roost.users grant SELECT to roost_anon",
        ),
        (
            "GRANT UPDATE (email) ON roost.users TO roost_user",
            "extra    column roost.users.email grant UPDATE to roost_user",
        ),
        ("GRANT CREATE ON SCHEMA api TO PUBLIC", "extra    schema api grant CREATE to PUBLIC"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE roost_owner GRANT SELECT ON TABLES TO roost_anon",
            "extra    default privileges of roost_owner on tables: SELECT to roost_anon",
        ),
        (
            "ALTER TABLE roost.users DISABLE TRIGGER users_set_updated_at",
            "differs  trigger users_set_updated_at on roost.users: enabled=D instead of enabled=O",
        ),
        (
            "ALTER TYPE roost.participant_role ADD VALUE 'guest'",
            "differs  type roost.participant_role: values viewer",
        ),
        (
            "ALTER DOMAIN roost.json_object DROP CONSTRAINT json_object_fits_64_kib",
            "missing  constraint json_object_fits_64_kib on roost.json_object",
        ),
        (
            "ALTER DOMAIN roost.json_object SET NOT NULL",
            "differs  type roost.json_object: not null instead of nothing",
        ),
        (
            "ALTER DOMAIN roost.json_object SET DEFAULT '[]'",
            "differs  type roost.json_object: default '[]'::jsonb instead of nothing",
        ),
        (
            'ALTER TABLE roost.extension_connections ALTER version TYPE text COLLATE "C"',
            "differs  column roost.extension_connections.version: collate C instead of nothing",
        ),
        (
            "CREATE RULE nothing AS ON INSERT TO roost.messages DO INSTEAD NOTHING",
            "extra    rule nothing on roost.messages",
        ),
        # A superuser's, as for a restore.
        (
            "ALTER TABLE roost.devices DISABLE TRIGGER ALL",
            "differs  constraint devices_user_id_fkey on roost.devices: triggers=D instead of noth",
        ),
        # Clients get it as a hint.
        (
            "COMMENT ON CONSTRAINT json_object_fits_64_kib ON DOMAIN roost.json_object IS 'No.'",
            "differs  constraint json_object_fits_64_kib on roost.json_object: comment=",
        ),
        (
            "COMMENT ON CONSTRAINT users_email_is_taken ON roost.users IS NULL",
            "differs  constraint users_email_is_taken on roost.users: nothing instead of comment=",
        ),
        ("COMMENT ON FUNCTION api.ping() IS 'No.'", "differs  function api.ping(): comment="),
        ("COMMENT ON TABLE roost.users IS 'No.'", "differs  table roost.users: comment="),
        (
            "COMMENT ON COLUMN roost.users.email IS 'No.'",
            "differs  column roost.users.email: comment=",
        ),
        (
            "COMMENT ON TYPE roost.plan_type IS 'No.'",
            "differs  type roost.plan_type: comment=",
        ),
        ("COMMENT ON SCHEMA api IS 'No.'", "differs  schema api: comment="),
        (
            "ALTER TABLE realtime.events_default DISABLE ROW LEVEL SECURITY",
            "extra    partition realtime.events_default of realtime.events has row security=f",
        ),
        (
            "ALTER TABLE realtime.events_default FORCE ROW LEVEL SECURITY",
            "extra    partition realtime.events_default of realtime.events has forced=t",
        ),
        (
            "ALTER TABLE realtime.events_default OWNER TO postgres",
            "extra    partition realtime.events_default of realtime.events has owner=postgres",
        ),
        (
            "ALTER TABLE realtime.events_default SET UNLOGGED",
            "extra    partition realtime.events_default of realtime.events has persistence=u",
        ),
        (
            "CREATE TABLE public.elsewhere PARTITION OF realtime.events"
            " FOR VALUES FROM ('2001-01-01') TO ('2001-01-02')",
            "extra    partition public.elsewhere of realtime.events has row security=f",
        ),
        (
            "GRANT SELECT ON realtime.events_default TO PUBLIC",
            "extra    relation realtime.events_default grant SELECT to PUBLIC",
        ),
        (
            "GRANT SELECT (payload) ON realtime.events_default TO roost_anon",
            "extra    column realtime.events_default.payload grant SELECT to roost_anon",
        ),
        (
            "CREATE POLICY all_of_it ON realtime.events_default USING (true)",
            "extra    policy all_of_it on realtime.events_default",
        ),
        (
            "CREATE RULE nothing AS ON DELETE TO realtime.events_default DO INSTEAD NOTHING",
            "extra    rule nothing on realtime.events_default",
        ),
        (
            "CREATE TRIGGER late BEFORE INSERT ON realtime.events_default FOR EACH ROW"
            " EXECUTE FUNCTION roost.set_updated_at()",
            "extra    trigger late on realtime.events_default",
        ),
        (
            "UPDATE roost.migration_checksums SET sha256 = repeat('0', 64)"
            " WHERE id = '0003.system'",
            "changed  0003.system",
        ),
        (
            "DELETE FROM roost.migration_checksums WHERE id = 'functions/system/ping.sql'",
            "pending  functions/system/ping.sql",
        ),
        (
            "INSERT INTO roost.migration_checksums VALUES ('9000.next', 'schema', repeat('0', 64))",
            "unknown  9000.next",
        ),
    ],
)
def test_what_is_found(database: str, done: str, finding: str) -> None:
    assert verify(database) == []
    execute(database, done)
    findings = verify(database)
    assert any(finding in line for line in findings), findings


def test_what_is_left_to_operators(database: str) -> None:
    """An index of their own, and partitions, which come and go with the days."""
    execute(database, "CREATE INDEX of_a_dba ON roost.users (created_at)")
    execute(
        database,
        "SET ROLE roost_owner; CREATE TABLE realtime.of_a_day PARTITION OF realtime.events"
        " FOR VALUES FROM ('2001-01-01') TO ('2001-01-02');"
        " ALTER TABLE realtime.of_a_day ENABLE ROW LEVEL SECURITY",
    )
    assert rows(database, "SELECT realtime.make_partitions(1)") == [(1,)]
    assert verify(database) == []
    execute(database, "CREATE UNIQUE INDEX forbids ON roost.users (created_at)")
    assert verify(database) == ["extra    unique index roost.forbids"]


def test_roles(postgres: EmbeddedPostgres, database: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with administrator(postgres) as connection:
        try:
            connection.execute("ALTER ROLE roost_gateway SUPERUSER")
            connection.execute("ALTER ROLE roost_owner REPLICATION")
            connection.execute("GRANT roost_owner TO roost_service")
            connection.execute("ALTER ROLE roost_gateway SET row_security = off")
            connection.execute(
                f"ALTER ROLE roost_owner IN DATABASE {name} SET search_path = public, roost"
            )
            # Of another database it says nothing here.
            connection.execute("ALTER ROLE roost_owner IN DATABASE template1 SET jit = off")
            assert [line for line in verify(database) if " role " in line] == [
                "extra    role roost_gateway has the setting row_security=off",
                "extra    role roost_owner has the setting search_path=public, roost"
                " in this database",
                "extra    role roost_service is a member of roost_owner",
                "differs  role roost_gateway: superuser=t instead of superuser=f",
                "differs  role roost_owner: replication=t instead of replication=f",
            ]
        finally:
            connection.execute("ALTER ROLE roost_gateway NOSUPERUSER")
            connection.execute("ALTER ROLE roost_owner NOREPLICATION")
            connection.execute("REVOKE roost_owner FROM roost_service")
            connection.execute("ALTER ROLE roost_gateway RESET ALL")
            for place in (name, "template1"):
                connection.execute(f"ALTER ROLE roost_owner IN DATABASE {place} RESET ALL")
    assert verify(database) == []


@pytest.mark.parametrize(
    "setting",
    [
        "quote_all_identifiers=on",
        "intervalstyle=sql_standard",
        "standard_conforming_strings=off",
        "datestyle=German",
        "timezone=Asia/Kolkata",
        "bytea_output=escape",
        "extra_float_digits=-15",
        "search_path=roost,api,realtime",
    ],
)
def test_the_settings_of_a_session_do_not_matter(database: str, setting: str) -> None:
    # Each of these has a text that depends on one of the settings.
    execute(
        database,
        "ALTER TABLE roost.users ADD a interval DEFAULT '1 day 2 hours',"
        r" ADD b text DEFAULT 'a\b', ADD c date DEFAULT '2001-02-03',"
        " ADD d timestamptz DEFAULT '2001-02-03 04:05:06Z', ADD e bytea DEFAULT 'abc',"
        " ADD f float8 DEFAULT '0.123456789'::float8",
    )
    with (
        psycopg.connect(database, autocommit=True) as plain,
        psycopg.connect(database, autocommit=True, options=f"-c {setting}") as special,
    ):
        assert describe(special) == describe(plain)


def test_whom_it_takes(postgres: EmbeddedPostgres, database: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    assert verify(postgres.conninfo(str(name), "roost_gateway")) == []


def test_a_database_that_is_not_migrated(empty_database: str) -> None:
    findings = verify(empty_database)
    assert "missing  table roost.users" in findings
    assert not any(line.startswith(("extra", "changed")) for line in findings)


def test_migrating_says_when_the_database_is_not_as_it_should_be(database: str) -> None:
    execute(database, "DROP INDEX roost.messages_device_id_idx")
    said: list[str] = []
    assert migrate(database, said.append) == ["missing  index roost.messages_device_id_idx"]
    assert said == []


def test_files_that_nobody_has_described(database: str, files: Path) -> None:
    add_migration(files, "9000.next", "CREATE TABLE roost.next ();", "DROP TABLE roost.next;")
    with pytest.raises(MigrationError, match=r"catalogue\.txt is not of these files: run make"):
        verify(database, files)
    # Migrating goes on without.
    migrate(database, directory=files)
