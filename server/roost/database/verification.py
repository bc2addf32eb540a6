"""
Compares what a database has in its catalogue with what a fresh install of this version has.

db/catalogue.txt holds the latter, a line for each table, column, constraint, index, policy,
function, trigger, rule, type, right and role: its name, a tab, and its properties. It is made by
`make catalogue` from a fresh install, and is the same on every PostgreSQL from 15 to 18. The
properties are as PostgreSQL itself writes them (pg_get_constraintdef and the like), long ones as
the beginning of their SHA-256. Partitions come and go with the days: of them there is a line only
where one is not as its table.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg

from roost.database import migration_records
from roost.database.migration_files import MigrationError, MigrationFiles
from roost.database.migration_form import problems
from roost.database.migration_session import connect, error_line

FILE: Final = "catalogue.txt"


def verify(conninfo: str, directory: Path | None = None) -> list[str]:
    """
    What is not as this version makes it, a line each; nothing when all is well. Changes nothing,
    and needs no right on any table.

    Raises MigrationError when the server or the files cannot be read.
    """
    files = MigrationFiles.read(directory)
    malformed = problems(files)
    expected = _read(files)
    if expected is None:
        if malformed:
            return malformed
        raise MigrationError(f"db/{FILE} is not of these files: run make catalogue")
    with connect(conninfo, "roost verify") as connection:
        try:
            return [
                *malformed,
                *_checksum_findings(connection, files),
                *_compare(connection, expected),
            ]
        except psycopg.Error as error:
            raise MigrationError(f"cannot verify: {error_line(error)}") from error


def differences(connection: psycopg.Connection[Any], files: MigrationFiles) -> list[str]:
    """The same of the catalogue alone. Nothing where db/catalogue.txt is not of these files."""
    expected = _read(files)
    return [] if expected is None else _compare(connection, expected)


def describe(connection: psycopg.Connection[Any]) -> list[str]:
    """The lines of db/catalogue.txt for a database, in order."""
    with connection.transaction():
        for setting in _SETTINGS:
            connection.execute(setting)
        # Newer versions quote words that older ones do not know.
        return sorted({line.replace('"', "") for (line,) in connection.execute(_DESCRIPTION)})


def catalogue_text(connection: psycopg.Connection[Any], files: MigrationFiles) -> str:
    """The content of db/catalogue.txt, from a fresh install of the same files."""
    return "\n".join([_fingerprint(files), *describe(connection), ""])


def _read(files: MigrationFiles) -> list[str] | None:
    path = files.directory / FILE
    if not path.exists():
        return None
    fingerprint, *lines = path.read_text(encoding="utf-8").splitlines()
    return lines if fingerprint == _fingerprint(files) else None


def _fingerprint(files: MigrationFiles) -> str:
    digest = hashlib.sha256()
    for name, text in (
        *((migration.id, migration.sha256) for migration in files.migrations.values()),
        *((repeatable.path, repeatable.sha256) for repeatable in files.repeatables.values()),
    ):
        digest.update(f"{name} {text}\n".encode())
    return f"files sha256={digest.hexdigest()}"


def _compare(connection: psycopg.Connection[Any], expected: list[str]) -> list[str]:
    wanted = dict(_by_object(expected))
    found = dict(_by_object(describe(connection)))
    return [
        *(f"missing  {name}" for name in sorted(wanted.keys() - found.keys())),
        # An index that somebody added serves a query of theirs, and changes no result.
        *(
            f"extra    {name}"
            for name in sorted(found.keys() - wanted.keys())
            if not name.startswith("index ")
        ),
        *(
            f"differs  {name}: {_difference(found[name], wanted[name])}"
            for name in sorted(wanted.keys() & found.keys())
            if wanted[name] != found[name]
        ),
    ]


def _by_object(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _tab, properties = line.partition("\t")
        yield name, properties


def _difference(found: str, wanted: str) -> str:
    has, should = found.split("; "), wanted.split("; ")
    return (
        f"{'; '.join(part for part in has if part not in should) or 'nothing'} instead of"
        f" {'; '.join(part for part in should if part not in has) or 'nothing'}"
    )


def _checksum_findings(connection: psycopg.Connection[Any], files: MigrationFiles) -> list[str]:
    records = migration_records.read_as_gateway(connection)
    if records is None:
        return []
    ours = {it.id: it.sha256 for it in files.migrations.values()}
    ours.update({it.path: it.sha256 for it in files.repeatables.values()})
    stale = [name for name, record in records.items() if record.sha256 is None]
    return [
        *([f"pending  {len(stale)} files of functions and triggers"] if stale else []),
        *(f"pending  {name}" for name in ours if name not in records),
        *(f"unknown  {name}" for name in records if name not in ours),
        *(
            f"changed  {name}"
            for name, digest in ours.items()
            if name in records and records[name].sha256 not in {None, digest}
        ),
    ]


# What the text of properties depends on. Names have their schema when that is not in the path.
_SETTINGS: Final = (
    "SET LOCAL search_path = pg_catalog, pg_temp",
    "SET LOCAL standard_conforming_strings = on",
    "SET LOCAL quote_all_identifiers = off",
    "SET LOCAL intervalstyle = postgres",
    "SET LOCAL datestyle = 'ISO, MDY'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL bytea_output = hex",
    "SET LOCAL extra_float_digits = 1",
)

# One SELECT for each kind of object. What differs between versions of PostgreSQL is left out: NOT
# NULL constraints have names from 18 on (columns say it), and roost.uuid_v7 another body.
_DESCRIPTION: Final = """
WITH ours AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl
    FROM pg_namespace AS n WHERE n.nspname IN ('roost', 'api', 'realtime')
),
relation AS (
    SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relowner, c.relacl, c.reloptions,
        c.relrowsecurity, c.relforcerowsecurity, c.relpersistence, c.relnamespace
    FROM pg_class AS c
    WHERE c.relnamespace IN (SELECT ours.oid FROM ours) AND NOT c.relispartition
),
partition AS (
    SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relowner, c.relacl,
        relation.name AS parent,
        ARRAY[
            CASE WHEN c.relowner <> relation.relowner
                THEN format('owner=%s', c.relowner::regrole) END,
            CASE WHEN c.relpersistence <> relation.relpersistence
                THEN format('persistence=%s', c.relpersistence) END,
            CASE WHEN c.relrowsecurity <> relation.relrowsecurity
                THEN format('row security=%s', c.relrowsecurity) END,
            CASE WHEN c.relforcerowsecurity <> relation.relforcerowsecurity
                THEN format('forced=%s', c.relforcerowsecurity) END
        ] AS deviations
    FROM pg_class AS c JOIN relation ON relation.oid = pg_partition_root(c.oid)
    WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f')
),
holder AS (
    SELECT relation.oid, relation.name, relation.relkind, relation.relowner, relation.relacl
    FROM relation
    UNION ALL
    SELECT partition.oid, partition.name, partition.relkind, partition.relowner, partition.relacl
    FROM partition
),
our_role AS (
    SELECT r.* FROM pg_roles AS r
    WHERE r.rolname IN (
        'roost_owner', 'roost_api', 'roost_anon', 'roost_user', 'roost_service', 'roost_gateway'
    )
),
grantee AS (
    SELECT 0::oid AS oid, 'PUBLIC' AS name
    UNION ALL SELECT r.oid, r.rolname FROM pg_roles AS r
)
SELECT format('schema %s\towner=%s%s', ours.nspname, ours.nspowner::regrole,
    '; comment=' || left(encode(sha256(convert_to(
        obj_description(ours.oid, 'pg_namespace'), 'UTF8')), 'hex'), 32))
FROM ours
UNION ALL
SELECT format('schema %s grant %s to %s', ours.nspname, acl.privilege_type, grantee.name)
FROM ours
CROSS JOIN LATERAL aclexplode(coalesce(ours.nspacl, acldefault('n', ours.nspowner))) AS acl
JOIN grantee ON grantee.oid = acl.grantee
UNION ALL
SELECT format('extension %s\tin %s', e.extname, e.extnamespace::regnamespace)
FROM pg_extension AS e WHERE e.extname = 'citext'
UNION ALL
SELECT format('default privileges of %s on %s: %s to %s', d.defaclrole::regrole,
    CASE d.defaclobjtype WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'r' THEN 'tables'
        WHEN 'S' THEN 'sequences' ELSE d.defaclobjtype::text END,
    acl.privilege_type, grantee.name)
FROM pg_default_acl AS d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS acl
JOIN grantee ON grantee.oid = acl.grantee
WHERE d.defaclrole::regrole::text IN ('roost_owner', 'roost_api')
UNION ALL
SELECT format('%s %s\towner=%s; persistence=%s; row security=%s; forced=%s; options=%s%s',
    CASE relation.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
        WHEN 'S' THEN 'sequence' WHEN 'm' THEN 'view' ELSE 'relation' END,
    relation.name, relation.relowner::regrole, relation.relpersistence, relation.relrowsecurity,
    relation.relforcerowsecurity, coalesce(relation.reloptions::text, '{}'),
    '; comment=' || left(encode(sha256(convert_to(
        obj_description(relation.oid, 'pg_class'), 'UTF8')), 'hex'), 32))
FROM relation WHERE relation.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL
SELECT format('partitions of %s\t%s', relation.name, pg_get_partkeydef(relation.oid))
FROM relation WHERE relation.relkind = 'p'
UNION ALL
SELECT format('partition %s of %s has %s', partition.name, partition.parent, deviation.found)
FROM partition CROSS JOIN LATERAL unnest(partition.deviations) AS deviation (found)
WHERE deviation.found IS NOT NULL
UNION ALL
SELECT format('definition of %s\t%s', relation.name,
    left(encode(sha256(convert_to(pg_get_viewdef(relation.oid), 'UTF8')), 'hex'), 32))
FROM relation WHERE relation.relkind IN ('v', 'm')
UNION ALL
SELECT format('relation %s grant %s to %s', holder.name, acl.privilege_type, grantee.name)
FROM holder
CROSS JOIN LATERAL aclexplode(holder.relacl) AS acl
JOIN grantee ON grantee.oid = acl.grantee
WHERE holder.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND acl.grantee <> holder.relowner
UNION ALL
SELECT format('column %s.%s\t%s%s%s%s%s%s%s', relation.name, a.attname,
    format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attcollation <> t.typcollation
        THEN '; collate ' || a.attcollation::regcollation::text END,
    CASE WHEN a.attnotnull THEN '; not null' END,
    CASE a.attidentity WHEN 'a' THEN '; identity always' WHEN 'd' THEN '; identity' END,
    CASE a.attgenerated WHEN 's' THEN '; generated' END,
    '; default ' || pg_get_expr(d.adbin, d.adrelid),
    '; comment=' || left(encode(sha256(convert_to(
        col_description(relation.oid, a.attnum), 'UTF8')), 'hex'), 32))
FROM relation
JOIN pg_attribute AS a ON a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE relation.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL
SELECT format('column %s.%s grant %s to %s', holder.name, a.attname, acl.privilege_type,
    grantee.name)
FROM holder
JOIN pg_attribute AS a ON a.attrelid = holder.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
JOIN grantee ON grantee.oid = acl.grantee
UNION ALL
SELECT format('constraint %s on %s\t%s%s%s%s', c.conname,
    CASE WHEN c.conrelid <> 0 THEN c.conrelid::regclass::text ELSE c.contypid::regtype::text END,
    pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN '; NOT VALID' END,
    -- Foreign keys are kept by triggers, which a superuser can disable.
    '; triggers=' || (SELECT string_agg(DISTINCT t.tgenabled::text, ',') FROM pg_trigger AS t
        WHERE t.tgconstraint = c.oid AND t.tgisinternal AND t.tgenabled <> 'O'),
    '; comment=' || left(encode(sha256(convert_to(
        obj_description(c.oid, 'pg_constraint'), 'UTF8')), 'hex'), 32))
FROM pg_constraint AS c
WHERE c.connamespace IN (SELECT ours.oid FROM ours) AND c.contype <> 'n' AND c.conparentid = 0
    AND (c.conrelid = 0 OR c.conrelid IN (SELECT relation.oid FROM relation))
UNION ALL
SELECT format('%sindex %s\t%s%s', CASE WHEN i.indisunique THEN 'unique ' END,
    i.indexrelid::regclass, pg_get_indexdef(i.indexrelid),
    CASE WHEN NOT i.indisvalid THEN '; INVALID' END)
FROM pg_index AS i JOIN relation ON relation.oid = i.indrelid
UNION ALL
SELECT format('policy %s on %s\tfor %s; to %s%s; using=%s; check=%s', p.polname,
    p.polrelid::regclass,
    CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
        WHEN 'd' THEN 'delete' ELSE 'all' END,
    (SELECT string_agg(coalesce(r.rolname, 'PUBLIC'), ', ' ORDER BY r.rolname)
        FROM unnest(p.polroles) AS listed (oid) LEFT JOIN pg_roles AS r ON r.oid = listed.oid),
    CASE WHEN NOT p.polpermissive THEN '; restrictive' END,
    left(encode(sha256(convert_to(
        coalesce(pg_get_expr(p.polqual, p.polrelid), ''), 'UTF8')), 'hex'), 32),
    left(encode(sha256(convert_to(
        coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''), 'UTF8')), 'hex'), 32))
FROM pg_policy AS p WHERE p.polrelid IN (SELECT holder.oid FROM holder)
UNION ALL
SELECT format('function %s\treturns %s; language=%s; owner=%s; volatility=%s; parallel=%s;'
    ' definer=%s; leakproof=%s; strict=%s; settings=%s; body=%s%s',
    p.oid::regprocedure, pg_get_function_result(p.oid), l.lanname, p.proowner::regrole,
    p.provolatile,
    p.proparallel, p.prosecdef, p.proleakproof, p.proisstrict, coalesce(p.proconfig::text, '{}'),
    CASE WHEN p.oid::regprocedure::text = 'roost.uuid_v7()' THEN 'by version'
        ELSE left(encode(sha256(convert_to(
            coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
            || replace(pg_get_function_arguments(p.oid), '"', ''), 'UTF8')), 'hex'), 32) END,
    '; comment=' || left(encode(sha256(convert_to(
        obj_description(p.oid, 'pg_proc'), 'UTF8')), 'hex'), 32))
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.pronamespace IN (SELECT ours.oid FROM ours)
UNION ALL
SELECT format('function %s grant %s to %s', p.oid::regprocedure, acl.privilege_type, grantee.name)
FROM pg_proc AS p
CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS acl
JOIN grantee ON grantee.oid = acl.grantee
WHERE p.pronamespace IN (SELECT ours.oid FROM ours) AND acl.grantee <> p.proowner
UNION ALL
SELECT format('trigger %s on %s\tdefinition=%s; enabled=%s', t.tgname, t.tgrelid::regclass,
    left(encode(sha256(convert_to(pg_get_triggerdef(t.oid), 'UTF8')), 'hex'), 32), t.tgenabled)
FROM pg_trigger AS t
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgrelid IN (SELECT holder.oid FROM holder)
UNION ALL
-- Of a view, _RETURN is its definition.
SELECT format('rule %s on %s\tdefinition=%s; enabled=%s', r.rulename, r.ev_class::regclass,
    left(encode(sha256(convert_to(pg_get_ruledef(r.oid), 'UTF8')), 'hex'), 32), r.ev_enabled)
FROM pg_rewrite AS r
WHERE r.rulename <> '_RETURN' AND r.ev_class IN (SELECT holder.oid FROM holder)
UNION ALL
SELECT format('type %s\t%s; owner=%s%s%s%s%s%s', t.oid::regtype,
    CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite'
        ELSE t.typtype::text END,
    t.typowner::regrole,
    '; of ' || nullif(format_type(t.typbasetype, t.typtypmod), '-'),
    '; values ' || (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
        FROM pg_enum AS e WHERE e.enumtypid = t.oid),
    CASE WHEN t.typnotnull THEN '; not null' END,
    '; default ' || t.typdefault,
    '; comment=' || left(encode(sha256(convert_to(
        obj_description(t.oid, 'pg_type'), 'UTF8')), 'hex'), 32))
FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
WHERE t.typnamespace IN (SELECT ours.oid FROM ours)
    AND (t.typtype IN ('e', 'd') OR c.relkind = 'c')
UNION ALL
SELECT format('type %s grant %s to %s', t.oid::regtype, acl.privilege_type, grantee.name)
FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
CROSS JOIN LATERAL aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) AS acl
JOIN grantee ON grantee.oid = acl.grantee
WHERE t.typnamespace IN (SELECT ours.oid FROM ours)
    AND (t.typtype IN ('e', 'd') OR c.relkind = 'c') AND acl.grantee <> t.typowner
UNION ALL
SELECT format('role %s\tlogin=%s; inherit=%s; superuser=%s; createrole=%s; createdb=%s;'
    ' replication=%s; bypassrls=%s',
    r.rolname, r.rolcanlogin, r.rolinherit, r.rolsuper, r.rolcreaterole, r.rolcreatedb,
    r.rolreplication, r.rolbypassrls)
FROM our_role AS r
UNION ALL
SELECT format('role %s has the setting %s%s', r.rolname, setting.text,
    CASE WHEN s.setdatabase <> 0 THEN ' in this database' END)
FROM our_role AS r
JOIN pg_db_role_setting AS s ON s.setrole = r.oid
CROSS JOIN LATERAL unnest(s.setconfig) AS setting (text)
WHERE s.setdatabase = 0
    OR s.setdatabase = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
UNION ALL
SELECT format('role %s is a member of %s', r.rolname, m.roleid::regrole)
FROM our_role AS r JOIN pg_auth_members AS m ON m.member = r.oid
"""
