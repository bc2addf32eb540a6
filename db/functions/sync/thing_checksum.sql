-- One expression, which the planner puts into the statement.
CREATE OR REPLACE FUNCTION roost.thing_checksum(p_kind text, p_id uuid, p_change_seq bigint)
RETURNS bigint
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN (
    'x' || pg_catalog.left(
        pg_catalog.encode(
            pg_catalog.sha256(
                pg_catalog.convert_to(
                    p_kind || ':' || p_id::text || ':' || p_change_seq::text, 'UTF8'
                )
            ),
            'hex'
        ),
        8
    )
)::bit(32)::bigint;

REVOKE ALL ON FUNCTION roost.thing_checksum(text, uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.thing_checksum(text, uuid, bigint) TO roost_api;

COMMENT ON FUNCTION roost.thing_checksum(text, uuid, bigint) IS
'The first 32 bits of the SHA-256 of <kind>:<id>:<offset of its newest change>, as a number.';
