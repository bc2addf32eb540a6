"""The sqitch project: what it consists of, what the real sqitch makes of it, and the hand-overs."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from roost.database import sqitch_plan, sqitch_scripts
from roost.database.embedded import EmbeddedPostgres
from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migrations import check, migrate, rollback
from roost.database.sqitch import export
from roost.database.sqitch_handover import adopt, managed_by_sqitch
from roost.database.sqitch_plan import add_to_plan, plan_problems, release_in_plan
from roost.database.verification import verify
from tests import migrating
from tests.migrating import checksums, dump, execute, rows
from tests.support import (
    REPOSITORY,
    Postgres15,
    administrator,
    client_program,
    new_database,
    running,
)

LATER = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

# The change that has the functions and triggers which are here.
CODE = sqitch_plan.plan_to_export(MigrationFiles.read()).changes[-1]


class Sqitch:
    """The real program, on one database, with no configuration but the project's."""

    def __init__(self, home: Path, project: Path, conninfo: str) -> None:
        if shutil.which("sqitch") is None:
            pytest.fail("sqitch is missing: run `make debian`")
        self.project = project
        self._conninfo = conninfo
        home.mkdir(exist_ok=True)
        (home / "user.conf").write_text(f'[engine "pg"]\n\tclient = {client_program("psql")}\n')
        parameters = conninfo_to_dict(conninfo)
        address = {name: parameters[name] for name in ("host", "port")}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "SQITCH_SYSTEM_CONFIG": os.devnull,
            "SQITCH_USER_CONFIG": str(home / "user.conf"),
            "SQITCH_FULLNAME": "Ada Deployer",
            "SQITCH_EMAIL": "ada@example.com",
            "SQITCH_TARGET": f"db:pg://{parameters['user']}@/{parameters['dbname']}"
            f"?{urlencode(address)}",
        }

    def __call__(self, *arguments: str) -> str:
        """What it says. It has to succeed."""
        code, said = self.run(*arguments)
        assert code == 0, said
        return said

    def refused(self, *arguments: str) -> str:
        """What it says. It must not succeed."""
        code, said = self.run(*arguments)
        assert code != 0, said
        return said

    def run_script(self, kind: str, change: str) -> "subprocess.CompletedProcess[str]":
        """
        Has psql run one script as sqitch would, which sqitch is not told of: it takes ten times as
        long to start.
        """
        return subprocess.run(
            [
                client_program("psql"),
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                f"--dbname={self._conninfo}",
                f"--file={self.project / kind / change}.sql",
            ],
            capture_output=True,
            check=False,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sqitch", *arguments],
            cwd=self.project,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        return done.returncode, done.stdout


class Releases(NamedTuple):
    """Two folders db: one with a first release, and a copy of it with a second one."""

    first: Path
    second: Path


@pytest.fixture
def files(files: Path) -> Path:
    """A copy of the folder db without any release, to change."""
    shutil.rmtree(files / "releases", ignore_errors=True)
    plan = files / "sqitch.plan"
    plan.write_text(re.sub(r"(?m)^(code/|@).*\n", "", plan.read_text()))
    return files


@pytest.fixture
def releases(files: Path, tmp_path: Path) -> Releases:
    """The second has most of what a release can bring."""
    release(files, "1.0.0")
    second = Path(shutil.copytree(files, tmp_path / "second"))
    add_migration(
        second,
        "9001.add_locale",
        "SET LOCAL ROLE roost_owner;\nALTER TABLE roost.users ADD COLUMN locale text;\n",
        "ALTER TABLE roost.users DROP COLUMN locale CASCADE;\n",
        "SET LOCAL ROLE roost_owner;\nSELECT locale FROM roost.users WHERE false;\n",
    )
    add_migration(
        second,
        "9002.index_locale",
        "-- transactional: false\n"
        "CREATE INDEX CONCURRENTLY users_locale_idx ON roost.users (locale)",
        "DROP INDEX CONCURRENTLY IF EXISTS roost.users_locale_idx;\n",
        "SELECT 'roost.users_locale_idx'::regclass WHERE false;\n",
    )
    # Functions of the first release go along with the types, on both ways.
    add_migration(
        second,
        "9003.change_types",
        "SET LOCAL ROLE roost_owner;\nDROP TYPE roost.unread_counts CASCADE;\n"
        "DROP TYPE roost.sign_in_candidate CASCADE;\n"
        "CREATE TYPE roost.sign_in_candidate AS (\n    user_id uuid,\n    password_hash text\n);\n",
        "SET LOCAL ROLE roost_owner;\nDROP TYPE roost.sign_in_candidate CASCADE;\n"
        "CREATE TYPE roost.sign_in_candidate AS (\n    user_id uuid,\n    password_hash text\n);\n"
        "CREATE TYPE roost.unread_counts AS (\n    total bigint,\n"
        "    conversations roost.unread_count ARRAY\n);\n",
        "SELECT 1 / (to_regtype('roost.unread_counts') IS NULL)::integer;\n",
    )
    # What a verify script asks for has to be there after every later migration as well.
    script = second / "verify" / "0022.message_feedback.sql"
    asked = r"SELECT\n    \(NULL::roost\.unread_counts\).*?;\n"
    script.write_text(re.sub(asked, "", script.read_text(), flags=re.DOTALL))
    functions = second / "functions"
    (functions / "receipts" / "get_unread_counts.sql").unlink()
    (functions / "system" / "require_row_count.sql").unlink()
    ping = functions / "system" / "ping.sql"
    text = ping.read_text()
    pong = text.replace("api.ping()", "api.pong()")
    (functions / "system" / "pong.sql").write_text(pong)
    text = text.replace("RETURNS text", "RETURNS jsonb").replace(
        "SELECT 'pong'", "SELECT '2'::jsonb"
    )
    ping.write_text(text)
    (second / "triggers" / "late.sql").write_text(
        "CREATE OR REPLACE TRIGGER late\nAFTER UPDATE OF locale ON roost.users\nFOR EACH ROW\n"
        "EXECUTE FUNCTION roost.set_updated_at()\n"
    )
    release(second, "2.0.0")
    return Releases(files, second)


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Sqitch]:
    """Exports a folder db, and gives the program that works on it in a database."""

    def make(conninfo: str, directory: Path | None = None) -> Sqitch:
        folder = tmp_path / f"project of {directory.name if directory else 'this version'}"
        export(folder, directory)
        return Sqitch(tmp_path / "home", folder, conninfo)

    return make


@pytest.fixture
def other(server: EmbeddedPostgres) -> Iterator[str]:
    """Another one, to compare with."""
    with new_database(server) as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def deployed_database(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The name of a database that sqitch deployed this version to, and the project."""
    folder = tmp_path_factory.mktemp("deployed")
    export(folder / "project")
    with new_database(postgres) as conninfo:
        Sqitch(folder, folder / "project", conninfo)("deploy")
        yield str(conninfo_to_dict(conninfo)["dbname"]), folder / "project"


@pytest.fixture
def deployed(
    postgres: EmbeddedPostgres, deployed_database: tuple[str, Path], tmp_path: Path
) -> Iterator[tuple[str, Sqitch]]:
    """A copy of it of this test's own, and the program on it."""
    name, folder = deployed_database
    own = Path(shutil.copytree(folder, tmp_path / "project"))
    with new_database(postgres, name) as conninfo:
        yield conninfo, Sqitch(tmp_path, own, conninfo)


def add_migration(directory: Path, name: str, apply: str, rollback: str, verify: str) -> None:
    migrating.add_migration(directory, name, apply, rollback)
    (directory / "verify" / f"{name}.sql").write_text(verify)
    add_to_plan(directory, f"schema/{name}", "More", LATER)


def release(directory: Path, version: str) -> None:
    """Makes what a copy of the folder db has a release, in the plan too."""
    release_in_plan(directory, version, LATER)
    migrating.release(directory, version)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def user_schemas(conninfo: str) -> set[str]:
    return {
        name
        for (name,) in rows(
            conninfo,
            "SELECT nspname FROM pg_namespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
        )
    }


# What is written


def test_the_project_of_this_version(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "sqitch"
    changes = export(folder)
    found = tree(folder)
    assert {f"schema/{name}" for name in MigrationFiles.read().migrations} < set(changes)
    assert changes[-1] == CODE
    assert found.keys() == {
        "sqitch.conf",
        "sqitch.plan",
        *(f"{kind}/{name}.sql" for kind in ("deploy", "revert", "verify") for name in changes),
    }
    assert found["sqitch.plan"].startswith((REPOSITORY / "db" / "sqitch.plan").read_bytes())
    again = tmp_path / "again"
    export(again)
    assert tree(again) == found


def test_what_scripts_consist_of(releases: Releases, tmp_path: Path) -> None:
    export(tmp_path / "out", releases.second)
    for kind, suffix in (("deploy", ".sql"), ("revert", ".rollback.sql")):
        source = (releases.first / "schema" / f"0004.accounts{suffix}").read_text()
        assert (tmp_path / "out" / kind / "schema" / "0004.accounts.sql").read_text() == (
            f"BEGIN;\n\nSET LOCAL lock_timeout = '5s';\n\n{source}\nCOMMIT;\n"
        )
    # Outside a transaction, and with the semicolon that psql waits for.
    source = (releases.second / "schema" / "9002.index_locale.sql").read_text()
    assert (tmp_path / "out" / "deploy" / "schema" / "9002.index_locale.sql").read_text() == (
        "SET search_path = pg_catalog, pg_temp;\nSET client_min_messages = warning;\n"
        "SET ROLE roost_owner;\n\n"
        f"DROP INDEX CONCURRENTLY IF EXISTS roost.users_locale_idx;\n\n{source};\n"
    )
    source = (releases.second / "schema" / "9002.index_locale.rollback.sql").read_text()
    assert (tmp_path / "out" / "revert" / "schema" / "9002.index_locale.sql").read_text() == (
        "SET search_path = pg_catalog, pg_temp;\nSET client_min_messages = warning;\n"
        f"SET ROLE roost_owner;\n\n{source}"
    )
    source = (releases.second / "verify" / "9001.add_locale.sql").read_text()
    assert (tmp_path / "out" / "verify" / "schema" / "9001.add_locale.sql").read_text() == (
        f"BEGIN;\n\nSET LOCAL search_path = pg_catalog, pg_temp;\n\n{source}\nROLLBACK;\n"
    )


def test_the_deploy_scripts_of_a_release_stay(releases: Releases, tmp_path: Path) -> None:
    export(tmp_path / "early", releases.first)
    names = export(tmp_path / "late", releases.second)
    assert names[-5:] == [
        "code/1.0.0",
        "schema/9001.add_locale",
        "schema/9002.index_locale",
        "schema/9003.change_types",
        "code/2.0.0",
    ]
    before, after = tree(tmp_path / "early"), tree(tmp_path / "late")
    assert after["sqitch.plan"].startswith(before["sqitch.plan"])
    assert before["sqitch.plan"].splitlines()[-1].startswith(b"@v1.0.0 ")
    for path, content in before.items():
        if path.startswith("deploy/"):
            assert after[path] == content


def test_code_that_is_not_released(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(files, "1.0.0")
    monkeypatch.setattr(sqitch_plan, "__version__", "1.0.0")
    assert export(tmp_path / "out", files)[-1] == "code/1.0.0"
    replace(files / "functions" / "system" / "ping.sql", "'pong'", "'pong, again'")
    with pytest.raises(
        MigrationError, match=r"not what release 1\.0\.0 was, .*: raise the version"
    ):
        export(tmp_path / "out", files)
    monkeypatch.setattr(sqitch_plan, "__version__", "1.1.0")
    assert export(tmp_path / "out", files)[-1] == "code/1.1.0"
    *_, tag, code = (tmp_path / "out" / "sqitch.plan").read_text().splitlines()
    assert tag.startswith("@v1.0.0 2030-01-02T03:04:05Z ")
    assert code.startswith("code/1.1.0 2030-01-02T03:04:05Z Roost <roost@localhost> # Not released")


def test_an_export_replaces_an_earlier_one_and_nothing_else(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export(folder, files)
    stale = folder / "deploy" / "schema" / "0000.stale.sql"
    stale.write_text("SELECT 1;\n")
    (folder / "notes.txt").write_text("of a person\n")
    replace(folder / "deploy" / "schema" / "0001.roles.sql", "COMMIT", "ROLLBACK")
    before = tree(folder)
    export(folder, files)
    export(tmp_path / "fresh", files)
    assert tree(folder) == {**tree(tmp_path / "fresh"), "notes.txt": before["notes.txt"]}

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
    for refused in (foreign, foreign / "sqitch.conf"):
        with pytest.raises(MigrationError, match="name a"):
            export(refused, files)
    assert tree(foreign) == {"sqitch.conf": b"[core]\n\tengine = pg\n"}


def remove_plan(files: Path) -> None:
    (files / "sqitch.plan").unlink()


def forget_a_migration(files: Path) -> None:
    add_migration(files, "9001.new", "SELECT 1;", "SELECT 1;", "SELECT 1;")
    remove_line("schema/9001.new")(files)


def remove_a_file(files: Path) -> None:
    add_migration(files, "9001.new", "SELECT 1;", "SELECT 1;", "SELECT 1;")
    for path in (files / "schema").glob("9001.*"):
        path.unlink()


def remove_a_verify_script(files: Path) -> None:
    (files / "verify" / "0002.schemas.sql").unlink()


def repeat_a_line(files: Path) -> None:
    plan = files / "sqitch.plan"
    line = next(line for line in plan.read_text().splitlines() if line.startswith("schema/0009"))
    plan.write_text(f"{plan.read_text()}{line}\n")


def swap_new_lines(files: Path) -> None:
    add_migration(files, "9002.later", "SELECT 1;", "SELECT 1;", "SELECT 1;")
    add_migration(files, "9001.earlier", "SELECT 1;", "SELECT 1;", "SELECT 1;")


def swap_released_lines(files: Path) -> None:
    plan = files / "sqitch.plan"
    lines = plan.read_text().splitlines(keepends=True)
    lines[3:5] = reversed(lines[3:5])
    plan.write_text("".join(lines))


def change_a_time(files: Path) -> None:
    plan = files / "sqitch.plan"
    plan.write_text(re.sub(r"(schema/0003\S* )\d{4}", r"\g<1>1999", plan.read_text()))


def change_the_time_of_the_tag(files: Path) -> None:
    replace(files / "sqitch.plan", "@v1.0.0 2030", "@v1.0.0 2031")


def add_to_a_release(files: Path) -> None:
    add_migration(files, "9001.new", "SELECT 1;", "SELECT 1;", "SELECT 1;")
    plan = files / "sqitch.plan"
    *lines, new = plan.read_text().splitlines(keepends=True)
    plan.write_text("".join([*lines[:5], new, *lines[5:]]))


def repeat_the_code(files: Path) -> None:
    plan = files / "sqitch.plan"
    (line,) = re.findall(r"(?m)^code/1\.0\.0 .*\n", plan.read_text())
    plan.write_text(plan.read_text() + line)


def forget_the_release(files: Path) -> None:
    shutil.rmtree(files / "releases")


def write_nonsense(files: Path) -> None:
    plan = files / "sqitch.plan"
    plan.write_text(f"{plan.read_text()}something else\n")


def remove_line(name: str) -> Callable[[Path], None]:
    def remove(files: Path) -> None:
        plan = files / "sqitch.plan"
        text = re.sub(rf"(?m)^{re.escape(name)} .*\n", "", plan.read_text())
        assert text != plan.read_text()
        plan.write_text(text)

    return remove


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (remove_plan, "db/sqitch.plan is missing: restore it"),
        (
            forget_a_migration,
            r"does not have db/schema/9001\.new\.sql: append the line schema/9001",
        ),
        (remove_a_file, r"has schema/9001\.new, but there is no .*: remove the line"),
        (remove_a_verify_script, r"db/verify/0002\.schemas\.sql is missing: write a script"),
        (repeat_a_line, r"has schema/0009\.messages twice: remove the later line"),
        (swap_new_lines, r"schema/9002\.later before schema/9001\.earlier, .*: swap the lines"),
        (swap_released_lines, r"edited before its tag @v1\.0\.0, .*: restore the file as it was"),
        (change_a_time, r"edited before its tag @v1\.0\.0, .*: restore the file as it was"),
        (change_the_time_of_the_tag, r"edited before its tag @v1\.0\.0, .*: restore the file"),
        (add_to_a_release, r"not the migrations of release 1\.0\.0 .*9001\.new: restore the file"),
        (remove_line("schema/0009.messages"), r"0009\.messages: restore the file as it was"),
        (remove_line("code/1.0.0"), r"does not have code/1\.0\.0: restore the file as it was"),
        (remove_line("@v1.0.0"), r"edited before its tag @v1\.0\.0, .*: restore the file"),
        (repeat_the_code, r"releases out of order: restore the file"),
        (forget_the_release, r"has code/1\.0\.0, but there is no such release .*: restore it"),
        (
            write_nonsense,
            r"plan:\d+ is no line of a plan that Roost writes .something else.: remove",
        ),
    ],
)
def test_problems_of_the_plan(
    files: Path, tmp_path: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    release(files, "1.0.0")
    assert plan_problems(MigrationFiles.read(files)) == []
    damage(files)
    problems = plan_problems(MigrationFiles.read(files))
    assert re.search(complaint, problems[0])
    with pytest.raises(MigrationError, match=complaint):
        export(tmp_path / "out", files)
    assert not (tmp_path / "out").exists()


def test_the_writer_of_scripts_has_to_keep_them(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(files, "1.0.0")
    monkeypatch.setattr(sqitch_scripts, "_NOTIFICATION", "-- Nobody is told.\n")
    (problem,) = plan_problems(MigrationFiles.read(files))
    assert "deploy scripts of release 1.0.0 are no longer what they were" in problem


def test_the_plan_is_only_added_to(files: Path) -> None:
    before = (files / "sqitch.plan").read_text()
    add_to_plan(files, "schema/9001.new", "In two\nlines", LATER)
    added = "schema/9001.new 2030-01-02T03:04:05Z Roost <roost@localhost> # In two lines\n"
    assert (files / "sqitch.plan").read_text() == before + added
    with pytest.raises(MigrationError, match=r"has schema/9001\.new already"):
        add_to_plan(files, "schema/9001.new", "Again", LATER)
    remove_line("schema/9001.new")(files)
    forget_a_migration(files)
    with pytest.raises(MigrationError, match=r"db/schema/9001\.new\.sql: append the line"):
        release_in_plan(files, "1.0.0", LATER)
    assert (files / "sqitch.plan").read_text() == before
    for path in files.rglob("9001.*"):
        path.unlink()
    release(files, "1.0.0")
    with pytest.raises(MigrationError, match=r"has code/1\.0\.0 already: raise the version"):
        release_in_plan(files, "1.0.0", LATER)
    (files / "sqitch.plan").unlink()
    add_to_plan(files, "schema/9001.new", "In two\nlines", LATER)
    assert (files / "sqitch.plan").read_text().endswith(f"%project=roost\n\n{added}")


# What the real sqitch makes of it


@pytest.mark.debian
def test_deploy_revert_and_deploy_again(
    empty: str, migrated: str, project: Callable[..., Sqitch]
) -> None:
    sqitch = project(empty)
    assert f"+ {CODE} " in sqitch("deploy", "--verify")
    expected = dump(migrated), checksums(migrated)
    assert (dump(empty), checksums(empty)) == expected
    check(empty)
    assert verify(empty) == []
    sqitch("verify")
    sqitch("check")
    said = sqitch("revert", "-y")
    assert "- schema/0001.roles " in said
    assert user_schemas(empty) == {"public", "sqitch"}
    sqitch("deploy", "--verify")
    assert (dump(empty), checksums(empty)) == expected
    check(empty)


@pytest.mark.debian
def test_back_and_forth_one_by_one(
    empty_database: str, project: Callable[..., Sqitch], releases: Releases
) -> None:
    """Each change is undone by its own revert script alone, so that all can be deployed again."""
    sqitch = project(empty_database, releases.second)
    sqitch("deploy", "--verify")
    states = [dump(empty_database)]
    names = [line.split()[1] for line in sqitch("verify").splitlines() if line.startswith("  * ")]

    def run(kind: str, name: str) -> None:
        script = sqitch.run_script(kind, name)
        assert script.returncode == 0, (kind, name, script.stderr)

    for name in reversed(names[1:]):
        run("revert", name)
        states.append(dump(empty_database))
    run("revert", names[0])
    assert user_schemas(empty_database) == {"public", "sqitch"}
    for name in names:
        run("deploy", name)
        run("verify", name)
        if name in {"code/1.0.0", "code/2.0.0"} or name < "code/1.0.0":
            assert dump(empty_database) == states[len(names) - 1 - names.index(name)], name
    sqitch("verify")


@pytest.mark.debian
def test_an_edited_script_is_found(deployed: tuple[str, Sqitch]) -> None:
    _, sqitch = deployed
    sqitch("check")
    replace(
        sqitch.project / "deploy" / "schema" / "0004.accounts.sql",
        "COMMIT;",
        "CREATE TABLE roost.late ();\nCOMMIT;",
    )
    said = sqitch.refused("check")
    assert "Script signatures diverge at change schema/0004.accounts" in said


@pytest.mark.debian
@pytest.mark.parametrize(
    ("damage", "change", "complaint"),
    [
        (
            "REVOKE roost_user FROM roost_gateway",
            "schema/0001.roles",
            "roost_gateway in roost_user",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE roost_api GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
            "schema/0001.roles",
            "roost_api f",
        ),
        (
            "REVOKE USAGE ON SCHEMA realtime FROM roost_user",
            "schema/0002.schemas",
            "USAGE on realtime for roost_user",
        ),
        ("DROP SCHEMA api CASCADE", "schema/0002.schemas", "CREATE on api for roost_owner"),
        (
            "DROP TABLE roost.server_secrets",
            "schema/0003.system",
            'relation "roost.server_secrets" does not exist',
        ),
        (
            "DELETE FROM roost.error_codes WHERE code = 'RO202'",
            "schema/0003.system",
            "Missing: RO202",
        ),
        (
            "DROP FUNCTION roost.current_device_id() CASCADE",
            "schema/0003.system",
            'function "roost.current_device_id()" does not exist',
        ),
        (
            "ALTER TABLE roost.users RENAME COLUMN last_login TO last_seen",
            "schema/0004.accounts",
            'column "last_login" does not exist',
        ),
        (
            "DROP POLICY users_update_self ON roost.users",
            "schema/0004.accounts",
            "Missing: policy users_update_self",
        ),
        (
            "REVOKE UPDATE (preferences) ON roost.users FROM roost_api",
            "schema/0004.accounts",
            "Missing: UPDATE on users.preferences",
        ),
        (
            "DROP INDEX roost.devices_user_id_idx",
            "schema/0005.devices",
            "Missing: index devices_user_id_idx",
        ),
        (
            "ALTER TABLE roost.devices DISABLE ROW LEVEL SECURITY",
            "schema/0005.devices",
            "Missing: row-level security of devices",
        ),
        (
            "ALTER TYPE roost.session DROP ATTRIBUTE expires_at CASCADE",
            "schema/0006.sessions",
            'column "expires_at" not found in data type roost.session',
        ),
        (
            "ALTER TYPE roost.refresh_outcome RENAME VALUE 'replayed' TO 'stolen'",
            "schema/0006.sessions",
            'invalid input value for enum roost.refresh_outcome: "replayed"',
        ),
        (
            "DELETE FROM realtime.log",
            "schema/0007.realtime",
            "division by zero",
        ),
        (
            "DROP TABLE realtime.events_default",
            "schema/0007.realtime",
            'relation "realtime.events_default" does not exist',
        ),
        (
            "ALTER TABLE roost.conversations DROP CONSTRAINT conversations_title_fits",
            "schema/0008.conversations",
            "Missing: constraint conversations_title_fits",
        ),
        (
            "REVOKE INSERT ON roost.messages FROM roost_api",
            "schema/0009.messages",
            "Missing: INSERT on messages",
        ),
        ("DROP FUNCTION api.ping()", CODE, "Missing: FUNCTION api.ping"),
        (
            "DROP TRIGGER users_end_sessions ON roost.users",
            CODE,
            "Missing: TRIGGER users_end_sessions ON roost.users",
        ),
        (
            "ALTER TABLE roost.users DISABLE TRIGGER users_end_sessions",
            CODE,
            "Missing: TRIGGER users_end_sessions ON roost.users",
        ),
    ],
)
def test_verify_finds_what_is_missing(
    deployed: tuple[str, Sqitch], damage: str, change: str, complaint: str
) -> None:
    conninfo, sqitch = deployed
    try:
        execute(conninfo, damage)
        said = sqitch.refused("verify")
    finally:
        # Memberships belong to the server, not to the database.
        execute(conninfo, "GRANT roost_user TO roost_gateway")
    assert complaint in said
    failed = re.findall(r"(?m)^  \* (\S+)(?: @\S+)? \.+(?! ok$)", said)
    assert change in failed


@pytest.mark.debian
def test_a_table_is_missed_by_its_own_change(deployed: tuple[str, Sqitch]) -> None:
    """Whatever table is dropped, the verify script of the change that makes it fails."""
    conninfo, sqitch = deployed
    makers = {
        table: name
        for name, migration in MigrationFiles.read().migrations.items()
        for table in re.findall(r"(?m)^CREATE (?:UNLOGGED )?TABLE (\S+)", migration.text)
    }
    tables = rows(
        conninfo,
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace::regnamespace::text IN ('roost', 'realtime') ORDER BY 1",
    )
    assert len(tables) >= 13
    for (table,) in tables:
        hidden = f"ALTER TABLE {table} RENAME TO hidden"
        execute(conninfo, hidden)
        run = sqitch.run_script("verify", f"schema/{makers[table]}")
        assert run.returncode != 0
        assert f'relation "{table}" does not exist' in run.stderr
        execute(
            conninfo, f"ALTER TABLE {table.split('.')[0]}.hidden RENAME TO {table.split('.')[1]}"
        )
    sqitch("verify")


@pytest.mark.debian
def test_a_failing_change_leaves_nothing_half_done(
    empty: str, project: Callable[..., Sqitch], files: Path
) -> None:
    release(files, "1.0.0")
    add_migration(
        files,
        "9001.broken",
        "CREATE TABLE roost.half ();\nSELECT 1 / 0;\n",
        "DROP TABLE roost.half;\n",
        "SELECT 'roost.half'::regclass;\n",
    )
    broken = files / "functions" / "system" / "broken.sql"
    broken.write_text(
        "CREATE OR REPLACE FUNCTION roost.broken()\nRETURNS integer\nLANGUAGE sql\n"
        "AS 'SELECT no FROM roost.where';\n"
    )
    release(files, "2.0.0")
    sqitch = project(empty, files)
    said = sqitch.refused("deploy")
    assert "division by zero" in said
    before = dump(empty)
    assert rows(empty, "SELECT to_regclass('roost.half')") == [(None,)]
    assert "Name:     code/1.0.0" in sqitch("status")

    text = (sqitch.project / "deploy" / "schema" / "9001.broken.sql").read_text()
    (sqitch.project / "deploy" / "schema" / "9001.broken.sql").write_text(
        text.replace("SELECT 1 / 0;\n", "")
    )
    before_checksums = checksums(empty)
    said = sqitch.refused("deploy")
    assert "The function roost.broken() is broken: relation" in said
    assert "Name:     schema/9001.broken" in sqitch("status")
    assert checksums(empty) == before_checksums
    assert rows(empty, "SELECT to_regprocedure('roost.broken()')") == [(None,)]
    sqitch("revert", "-y", "--to", "@v1.0.0")
    assert dump(empty) == before


@pytest.mark.debian
def test_an_index_that_cannot_be_built(
    empty_database: str, project: Callable[..., Sqitch], files: Path
) -> None:
    """Outside a transaction PostgreSQL leaves it there, invalid. The next attempt removes it."""
    release(files, "1.0.0")
    add_migration(
        files,
        "9001.one_meaning",
        "-- transactional: false\n"
        "CREATE UNIQUE INDEX CONCURRENTLY meaning_idx ON roost.error_codes (http_status);\n",
        "DROP INDEX CONCURRENTLY IF EXISTS roost.meaning_idx;\n",
        "SELECT 'roost.meaning_idx'::regclass WHERE false;\n",
    )
    release(files, "2.0.0")
    sqitch = project(empty_database, files)
    assert 'could not create unique index "meaning_idx"' in sqitch.refused("deploy")
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('roost.meaning_idx')"
    assert rows(empty_database, valid) == [(False,)]
    execute(
        empty_database,
        "DELETE FROM roost.error_codes AS code USING roost.error_codes AS other"
        " WHERE code.http_status = other.http_status AND code.code > other.code",
    )
    sqitch("deploy", "--no-verify")
    assert rows(empty_database, valid) == [(True,)]


@pytest.mark.debian
def test_a_lock_that_is_held_is_not_waited_for_long(deployed: tuple[str, Sqitch]) -> None:
    conninfo, sqitch = deployed
    with psycopg.connect(conninfo) as holder:
        holder.execute("LOCK TABLE roost.messages IN ACCESS SHARE MODE")
        # The functions and triggers go; the trigger of messages cannot.
        assert "canceling statement due to lock timeout" in sqitch.refused("revert", "-y")
    sqitch("verify")


@pytest.mark.debian
def test_the_next_release(
    empty: str, migrated: str, project: Callable[..., Sqitch], releases: Releases
) -> None:
    first = project(empty, releases.first)
    first("deploy", "--verify")
    first_state = dump(empty), checksums(empty)
    assert first_state == (dump(migrated), checksums(migrated))

    second = project(empty, releases.second)
    said = second("deploy", "--verify")
    assert "+ code/1.0.0 " not in said
    second_state = dump(empty), checksums(empty)
    assert "TRIGGER late AFTER UPDATE OF locale" in second_state[0]
    migrate(migrated, directory=releases.second)
    assert second_state == (dump(migrated), checksums(migrated))
    check(empty, releases.second)
    second("verify")
    second("check")
    assert rows(empty, "SELECT api.ping()") == [(2,)]

    said = second("revert", "-y", "--to", "@v1.0.0")
    assert "WARNING:  functions/receipts/get_unread_counts.sql comes when the next" in said
    assert (dump(empty), checksums(empty)) == first_state
    check(empty, releases.first)
    second("verify")
    second("deploy", "--verify")
    assert (dump(empty), checksums(empty)) == second_state
    second("revert", "-y")
    assert user_schemas(empty) == {"public", "sqitch"}
    second("deploy", "--verify")
    assert (dump(empty), checksums(empty)) == second_state


@pytest.mark.debian
def test_a_release_without_migrations(
    empty_database: str, project: Callable[..., Sqitch], files: Path
) -> None:
    release(files, "1.0.0")
    ping = files / "functions" / "system" / "ping.sql"
    replace(ping, "SELECT 'pong'", "SELECT 'pong, again'")
    release(files, "1.0.1")
    sqitch = project(empty_database, files)
    sqitch("deploy", "--to", "@v1.0.0")
    first_state = dump(empty_database), checksums(empty_database)
    sqitch("deploy")
    assert rows(empty_database, "SELECT api.ping()") == [("pong, again",)]
    sqitch("revert", "-y", "--to", "@v1.0.0")
    assert (dump(empty_database), checksums(empty_database)) == first_state
    assert rows(empty_database, "SELECT api.ping()") == [("pong",)]


@pytest.mark.debian
def test_rights_that_a_release_changes(
    empty: str, other: str, project: Callable[..., Sqitch], files: Path
) -> None:
    release(files, "1.0.0")
    ping = files / "functions" / "system" / "ping.sql"
    replace(ping, "TO roost_anon, roost_user, roost_service", "TO roost_user")
    replace(ping, "ALTER FUNCTION api.ping() OWNER TO roost_api;\n", "")
    release(files, "2.0.0")
    migrate(other, directory=files)
    sqitch = project(empty, files)
    sqitch("deploy", "--to", "@v1.0.0")
    first_state = dump(empty)
    sqitch("deploy")
    assert (dump(empty), checksums(empty)) == (dump(other), checksums(other))
    sqitch("revert", "-y", "--to", "@v1.0.0")
    assert dump(empty) == first_state


@pytest.mark.debian
def test_verify_of_a_release_that_has_not_been_followed(
    empty_database: str, project: Callable[..., Sqitch], releases: Releases
) -> None:
    """What the next release drops is missed as long as that is not deployed."""
    second = project(empty_database, releases.second)
    second("deploy", "--verify", "--to", "@v1.0.0")
    second("verify", "--to", "@v1.0.0")
    execute(empty_database, "DROP FUNCTION api.get_unread_counts")
    assert "Missing: FUNCTION api.get_unread_counts" in second.refused("verify", "--to", "@v1.0.0")


# The hand-overs


@pytest.mark.debian
def test_from_roost_to_sqitch(
    migrated: str, other: str, project: Callable[..., Sqitch], releases: Releases
) -> None:
    before = dump(migrated), checksums(migrated)
    first = project(migrated, releases.first)
    first("deploy", "--log-only")
    first("verify")
    first("check")
    assert (dump(migrated), checksums(migrated)) == before
    with pytest.raises(MigrationError, match=r"sqitch manages this .*with roost adopt"):
        migrate(migrated, directory=releases.second)
    second = project(migrated, releases.second)
    second("deploy", "--verify")
    second("check")
    migrate(other, directory=releases.second)
    assert (dump(migrated), checksums(migrated)) == (dump(other), checksums(other))
    with pytest.raises(MigrationError, match=r"sqitch manages this .* 9003\..* with roost adopt"):
        migrate(migrated, directory=releases.second)


@pytest.mark.debian
def test_from_sqitch_to_roost(
    empty: str, other: str, project: Callable[..., Sqitch], releases: Releases
) -> None:
    project(empty, releases.first)("deploy", "--verify")
    before = dump(empty), checksums(empty)
    with pytest.raises(MigrationError, match="sqitch manages this database"):
        migrate(empty, directory=releases.second)
    names = list(MigrationFiles.read(releases.first).migrations)
    assert adopt(empty, releases.first) == names
    assert adopt(empty, releases.first) == []
    assert (dump(empty), checksums(empty)) == before
    said: list[str] = []
    migrate(empty, said.append, directory=releases.first)
    assert said == []
    migrate(empty, directory=releases.second)
    migrate(other, directory=releases.second)
    assert (dump(empty), checksums(empty)) == (dump(other), checksums(other))
    after = dump(empty), checksums(empty)
    rollback(empty, directory=releases.second, to="1.0.0")
    assert (dump(empty), checksums(empty)) == before
    migrate(empty, directory=releases.second)
    assert (dump(empty), checksums(empty)) == after
    # Nor is it lost for sqitch, which is told in the same way as before.
    second = project(empty, releases.second)
    second("deploy", "--log-only")
    second("verify")
    second("check")


@pytest.mark.debian
def test_a_deployment_in_its_middle_is_adopted(
    empty_database: str, project: Callable[..., Sqitch], releases: Releases
) -> None:
    sqitch = project(empty_database, releases.second)
    sqitch("deploy", "--to", "schema/0005.devices")
    assert adopt(empty_database, releases.second)[-1] == "0005.devices"
    migrate(empty_database, directory=releases.second)
    check(empty_database, releases.second)
    with psycopg.connect(empty_database) as connection:
        assert managed_by_sqitch(connection) == ""


@pytest.mark.debian
def test_a_registry_of_another_name(
    empty_database: str, project: Callable[..., Sqitch], files: Path
) -> None:
    sqitch = project(empty_database, files)
    # A schema that looks like a registry to whoever does not look closely.
    execute(empty_database, "CREATE SCHEMA sqitch CREATE TABLE changes () CREATE TABLE projects ()")
    sqitch("deploy", "--registry", 'of "Ada"')
    with psycopg.connect(empty_database) as connection:
        assert managed_by_sqitch(connection) == list(MigrationFiles.read(files).migrations)[-1]
    assert len(adopt(empty_database, files)) == len(MigrationFiles.read(files).migrations)


@pytest.mark.debian
def test_what_is_not_adopted(deployed: tuple[str, Sqitch], files: Path) -> None:
    conninfo, _ = deployed
    with psycopg.connect(conninfo) as busy:
        busy.execute("SELECT pg_advisory_lock(75474063)")  # as sqitch does
        with pytest.raises(MigrationError, match="sqitch is at work in this database"):
            adopt(conninfo, files)

    replace(files / "schema" / "0009.messages.sql", "'Messages of", "'All messages of")
    with pytest.raises(
        MigrationError, match=r"schema/0009\.messages from another text .*: restore"
    ):
        adopt(conninfo, files)
    # The script's own signature says the same where there are no records yet.
    execute(conninfo, "DELETE FROM roost.migration_checksums")
    with pytest.raises(
        MigrationError, match=r"schema/0009\.messages from another text .*: restore"
    ):
        adopt(conninfo, files)
    for path in (files / "schema").glob("0009.*"):
        path.unlink()
    with pytest.raises(MigrationError, match=r"deployed schema/0009\.messages, which .*: install"):
        adopt(conninfo, files)
    assert "yoyo" not in user_schemas(conninfo)


def test_a_database_without_sqitch(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert managed_by_sqitch(connection) == ""
    with pytest.raises(MigrationError, match=r"sqitch has deployed nothing of Roost .* connect to"):
        adopt(database)


@pytest.mark.debian
def test_who_may_not_read_the_registry(
    postgres: EmbeddedPostgres, deployed: tuple[str, Sqitch]
) -> None:
    conninfo, _ = deployed
    name = str(conninfo_to_dict(conninfo)["dbname"])
    with psycopg.connect(postgres.conninfo(name, "roost_gateway")) as connection:
        assert managed_by_sqitch(connection) == ""
    check(postgres.conninfo(name, "roost_gateway"))


@pytest.mark.debian
@pytest.mark.parametrize("kind", [EmbeddedPostgres, Postgres15])
def test_a_deployer_who_is_no_superuser(
    kind: type[EmbeddedPostgres], project: Callable[..., Sqitch], releases: Releases
) -> None:
    # On a server of its own: roles are shared by all databases of one.
    with running(kind) as postgres:
        with administrator(postgres) as connection:
            connection.execute("CREATE ROLE deployer LOGIN CREATEROLE")
            connection.execute("CREATE DATABASE app OWNER deployer")
        conninfo = postgres.conninfo("app", "deployer")
        sqitch = project(conninfo, releases.second)
        sqitch("deploy", "--verify")
        with new_database(postgres) as other:
            migrate(other, directory=releases.second)
            ours = dump(postgres.conninfo("app"))
            assert ours.replace("deployer", "postgres") == dump(other)
            assert checksums(conninfo) == checksums(other)
        sqitch("revert", "-y", "--to", "@v1.0.0")
        assert adopt(conninfo, releases.first)
        migrate(conninfo, directory=releases.second)
        sqitch("deploy", "--log-only")
        sqitch("revert", "-y")
        assert user_schemas(conninfo) == {"public", "sqitch", "yoyo"}
        with administrator(postgres) as connection:
            roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'roost%'"
            assert connection.execute(roles).fetchone() == (0,)
