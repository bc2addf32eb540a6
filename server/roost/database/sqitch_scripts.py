"""
The scripts of the sqitch project, made of what the files and the releases below db/ say.

sqitch keeps the SHA-1 of each script that it deployed, and `sqitch check` compares. So the deploy
scripts of a release are made of what the release froze and nothing else, and stay as they are, byte
for byte.

Which migrations are new in which release, and in which order, is told by version, oldest first:
{"1.0.0": ["0001.roles", "0002.schemas"], "1.0.1": []}. A version that is not in db/releases is what
the files are.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

import sqlparse

from roost.database.migration_files import (
    Migration,
    MigrationError,
    MigrationFiles,
    Release,
    Repeatable,
    make_way,
    objects_of,
    sha256,
)


def scripts_of(files: MigrationFiles, planned: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The content of all scripts, by path such as deploy/schema/0001.roles.sql."""
    releases = _releases(files, planned)
    scripts = {}
    previous = _NOTHING
    for number, release in enumerate(releases, 1):
        names = planned[release.version]
        for name in names:
            migration = files.migrations[name]
            revert = _schema_script(migration, migration.rollback)
            if name == names[0] and previous is not _NOTHING:
                # The rollbacks of the release may have taken functions along (CASCADE). This was
                # the last of them: what the release before made can be made again.
                revert += "\n" + _code_script(_NOTHING, previous)
            verify = (files.directory / "verify" / f"{name}.sql").read_text(encoding="utf-8")
            scripts[f"deploy/schema/{name}.sql"] = deploy_schema(migration)
            scripts[f"revert/schema/{name}.sql"] = revert
            scripts[f"verify/schema/{name}.sql"] = _VERIFY_SCHEMA.format(text=_ended(verify))
        is_complete = previous is _NOTHING or not names
        code = f"code/{release.version}.sql"
        scripts[f"deploy/{code}"] = _code_script(previous, release)
        scripts[f"revert/{code}"] = _code_script(release, previous, is_complete=is_complete)
        scripts[f"verify/{code}"] = _verify_code(release, releases[number:])
        previous = release
    return scripts


def deploy_digest(files: MigrationFiles, planned: Mapping[str, Sequence[str]], version: str) -> str:
    """SHA-256 of all deploy scripts of a release, one after another."""
    releases = _releases(files, planned)
    at = list(planned).index(version)
    previous = releases[at - 1] if at else _NOTHING
    scripts = [deploy_schema(files.migrations[name]) for name in planned[version]]
    return sha256("".join([*scripts, _code_script(previous, releases[at])]))


def deploy_schema(migration: Migration) -> str:
    """The deploy script of a versioned migration."""
    return _schema_script(migration, migration.text)


def _releases(files: MigrationFiles, planned: Mapping[str, Sequence[str]]) -> list[Release]:
    """What each consists of, with its migrations in the plan's order."""
    present = {it.id: it.sha256 for it in files.migrations.values()}
    releases = []
    names: list[str] = []
    for version, new in planned.items():
        names += new
        it = files.releases.get(version) or Release(version, present, files.repeatables)
        migrations = {name: it.migrations[name] for name in names if name in it.migrations}
        releases.append(Release(version, migrations, it.repeatables))
    return releases


def _schema_script(migration: Migration, text: str) -> str:
    if not migration.transactional:
        # An index that could not be built stays behind, invalid.
        index = _CREATE_INDEX.search(text)
        drop = _DROP_INDEX.format(**index.groupdict()) if index else ""
        return f"{_BARE_SETTINGS}\n{drop}{_ended(text)}"
    return f"BEGIN;\n\nSET LOCAL lock_timeout = '5s';\n\n{_ended(text)}\nCOMMIT;\n"


def _ended(text: str) -> str:
    """psql, unlike yoyo, waits for the semicolon of the last statement."""
    text = text if text.endswith("\n") else f"{text}\n"
    code = text.rstrip()
    if "--" in code.rpartition("\n")[2]:
        code = sqlparse.format(text, strip_comments=True).rstrip()
    return text if code.endswith(";") else f"{text};\n"


def _code_script(old: Release, new: Release, *, is_complete: bool = True) -> str:
    """
    Where the functions and triggers of one release are, makes those of another, and its records.
    is_complete -- whether all can be made. Else the migrations of a later release are still there,
    and what does not go with them comes when they are undone.
    """
    title = f"The functions and triggers of Roost {new.version}."
    if new is _NOTHING:
        title = "No functions and triggers, and no records."
    make = _made if is_complete else _made_if_possible
    parts = [
        f"-- {title}\nBEGIN;\n",
        _CODE_SETTINGS,
        *(f"{it}\n" for it in make_way(objects_of(old.repeatables), objects_of(new.repeatables))),
        *(make(repeatable) for repeatable in new.repeatables.values()),
        *([_VALIDATION] if is_complete else []),
        _records(new),
        _NOTIFICATION,
        "COMMIT;\n",
    ]
    return "\n".join(parts)


def _made(repeatable: Repeatable) -> str:
    return f"-- File: {repeatable.path}\n{_ended(repeatable.text)}"


def _made_if_possible(repeatable: Repeatable) -> str:
    tag = "$roost_file$"
    if tag in repeatable.text:
        raise MigrationError(f"db/{repeatable.path} contains {tag}: write another dollar quote")
    return _MADE_IF_POSSIBLE.format(
        path=repeatable.path, text=f"{tag}\n{_ended(repeatable.text)}{tag}"
    )


def _records(release: Release) -> str:
    if release is _NOTHING:
        return "DELETE FROM roost.migration_checksums;\n"
    rows = [(name, "schema", digest, "{}") for name, digest in release.migrations.items()]
    rows += [
        (it.path, "repeatable", it.sha256, json.dumps(it.objects, sort_keys=True))
        for it in release.repeatables.values()
    ]
    values = ",\n".join(f"    ({', '.join(map(_literal, row))})" for row in rows)
    return f"WITH wanted (id, kind, sha256, objects) AS (VALUES\n{values}\n),\n{_RECORD}"


def _verify_code(release: Release, later: Sequence[Release]) -> str:
    names = objects_of(release.repeatables)
    kept = set(names).intersection(*(objects_of(it.repeatables) for it in later))
    rows = ",\n".join(
        f"        ({_literal(name)}, {'true' if name in kept else 'false'})" for name in names
    )
    return _VERIFY_CODE.format(rows=rows)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_NOTHING: Final = Release("", {}, {})
"""What was before the first release."""

# The texts below are part of releases: see the top of this file before changing one.

_CREATE_INDEX: Final = re.compile(
    r"(?im)^CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?P<name>\w+)\s+ON\s+"
    r"(?:ONLY\s+)?(?P<schema>\w+)\.\w+"
)
_BARE_SETTINGS: Final = """\
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = warning;
SET ROLE roost_owner;
"""

_DROP_INDEX: Final = """\
DROP INDEX CONCURRENTLY IF EXISTS {schema}.{name};

"""

_CODE_SETTINGS: Final = """\
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';
SET LOCAL ROLE roost_owner;
-- Bodies are looked at when all are there, so that the order does not matter.
SET LOCAL check_function_bodies = off;
"""

_MADE_IF_POSSIBLE: Final = """\
-- File: {path}
DO $roost$
BEGIN
    EXECUTE {text};
EXCEPTION
    WHEN syntax_error_or_access_rule_violation OR invalid_schema_name THEN
        RAISE WARNING '{path} comes when the next changes are reverted: %', SQLERRM;
END;
$roost$;
"""

_VALIDATION: Final = """\
SET LOCAL check_function_bodies = on;

DO $roost$
DECLARE
    v_function regprocedure;
    v_language name;
BEGIN
    FOR v_function, v_language IN
        SELECT routine.oid, language.lanname
        FROM pg_proc AS routine
        JOIN pg_language AS language ON language.oid = routine.prolang
        JOIN pg_namespace AS namespace ON namespace.oid = routine.pronamespace
        WHERE language.lanname IN ('plpgsql', 'sql')
            AND namespace.nspname IN ('api', 'realtime', 'roost')
        ORDER BY routine.oid::regprocedure::text
    LOOP
        BEGIN
            IF v_language = 'sql' THEN
                PERFORM fmgr_sql_validator(v_function);
            ELSE
                PERFORM plpgsql_validator(v_function);
            END IF;
        EXCEPTION
            WHEN OTHERS THEN
                RAISE EXCEPTION USING
                    ERRCODE = SQLSTATE,
                    MESSAGE = format('The function %s is broken: %s', v_function, SQLERRM);
        END;
    END LOOP;
END;
$roost$;
"""

_RECORD: Final = """\
gone AS (
    DELETE FROM roost.migration_checksums AS checksum
    WHERE NOT EXISTS (SELECT FROM wanted WHERE wanted.id = checksum.id)
)
INSERT INTO roost.migration_checksums AS checksum (id, kind, sha256, objects)
SELECT wanted.id, wanted.kind, wanted.sha256, wanted.objects::jsonb
FROM wanted
ON CONFLICT (id) DO UPDATE
    SET
        kind = excluded.kind,
        sha256 = excluded.sha256,
        objects = excluded.objects,
        applied_at = now()
    WHERE (checksum.kind, checksum.sha256, checksum.objects)
        IS DISTINCT FROM (excluded.kind, excluded.sha256, excluded.objects);
"""

_NOTIFICATION: Final = """\
-- Delivered on commit: running servers read the catalogue again.
DO $roost$
BEGIN
    PERFORM pg_notify('roost_schema', '');
END;
$roost$;
"""

_VERIFY_SCHEMA: Final = """\
BEGIN;

SET LOCAL search_path = pg_catalog, pg_temp;

{text}
ROLLBACK;
"""

_VERIFY_CODE: Final = """\
BEGIN;

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- What a later release drops has to be there only while the records say so.
DO $roost$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.object, ', ')
    INTO v_missing
    FROM (VALUES
{rows}
    ) AS wanted (object, is_kept)
    WHERE wanted.object NOT IN (
            SELECT pg_catalog.concat('FUNCTION ', namespace.nspname, '.', routine.proname)
            FROM pg_catalog.pg_proc AS routine
            JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = routine.pronamespace

            UNION ALL
            SELECT pg_catalog.concat(
                'TRIGGER ', trigger.tgname, ' ON ', namespace.nspname, '.', relation.relname
            )
            FROM pg_catalog.pg_trigger AS trigger
            JOIN pg_catalog.pg_class AS relation ON relation.oid = trigger.tgrelid
            JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
            WHERE trigger.tgenabled <> 'D'
        )
        AND (
            wanted.is_kept
            OR EXISTS (
                SELECT FROM roost.migration_checksums AS checksum
                WHERE checksum.objects ? wanted.object
            )
        );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$roost$;

ROLLBACK;
"""
