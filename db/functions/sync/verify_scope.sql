-- At most 100 buckets of 1,000 messages: what a call reads is bounded.
CREATE OR REPLACE FUNCTION api.verify_scope(
    scope text,
    "position" bigint,
    from_seq bigint,
    buckets jsonb
)
RETURNS roost.verified_scope
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_buckets CONSTANT bigint := 100;
    v_verified roost.verified_scope;
BEGIN
    PERFORM roost.require_user();

    IF verify_scope.scope !~ '^(user|conversation|workspace):'
        OR NOT realtime.can_join(verify_scope.scope)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such scope, or it is not yours to read.',
            DETAIL = format('Scope: %s', coalesce(left(verify_scope.scope, 200), 'null')),
            HINT = 'Send a scope that pull_changes has answered.';
    END IF;

    IF (
        verify_scope."position" >= 0
        AND verify_scope.from_seq >= 0
        AND jsonb_typeof(verify_scope.buckets) = 'object'
        AND (
            SELECT count(*) <= c_most_buckets
                AND coalesce(bool_and(
                    sent.key ~ '^([0-9]{1,15}|others)$'
                    AND sent.value::text ~ '^\[[0-9]{1,18}, [0-9]{1,18}\]$'
                ), true)
            FROM jsonb_each(verify_scope.buckets) AS sent
        )
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'These are no buckets of a scope.',
            DETAIL = format(
                'position: %s; from_seq: %s; buckets: %s', verify_scope."position",
                verify_scope.from_seq, left(verify_scope.buckets::text, 200)
            ),
            HINT = 'Send position, from_seq and up to 100 of {"<seq / 1000>": [<count>,'
                ' <checksum>], "others": [<count>, <checksum>]}.';
    END IF;

    v_verified.scope := verify_scope.scope;
    v_verified.last_offset := realtime.last_offset(verify_scope.scope);

    SELECT
        coalesce(
            array_agg(compared.key ORDER BY compared.key)
            FILTER (WHERE NOT compared.has_changed AND NOT compared.is_same),
            '{}'
        ),
        coalesce(array_agg(compared.key ORDER BY compared.key)
            FILTER (WHERE compared.has_changed), '{}')
    INTO v_verified.differing, v_verified.changed
    FROM (
        SELECT
            sent.key,
            counted.has_changed,
            (counted.things, counted.checksum)
            = ((sent.value ->> 0)::bigint, (sent.value ->> 1)::bigint) AS is_same
        FROM jsonb_each(verify_scope.buckets) AS sent
        CROSS JOIN LATERAL roost.sum_bucket(
            verify_scope.scope, sent.key, verify_scope."position", verify_scope.from_seq
        ) AS counted
    ) AS compared;

    v_verified.is_same := v_verified.differing = '{}' AND v_verified.changed = '{}';

    RETURN v_verified;
END;
$$;

ALTER FUNCTION api.verify_scope(text, bigint, bigint, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.verify_scope(text, bigint, bigint, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.verify_scope(text, bigint, bigint, jsonb) TO roost_user;

COMMENT ON FUNCTION api.verify_scope(text, bigint, bigint, jsonb) IS
'Compares what a device has of a scope with what it should have, without sending it: a checksum of
each thousand messages or files, and one of all else. docs/reference/sync.md says how a checksum
is made.

Callers: signed-in people who may read the scope.
Arguments: scope. position, the offset that its last entry of kind scope said. from_seq, what that
entry said; of user:<id> and workspace:<id> 1. buckets, up to 100: {"<seq / 1000>": [count,
checksum]} of messages, by the offset of their newest change of files, empty ones as [0, 0], and
"others".
Returns: an object: scope, last_offset, is_same, differing, a list of the buckets that part, and
changed, a list of those in which something has changed since position: pull first, and ask again.
Errors: RO101, RO201 (not yours to read), RO302 (no position, from_seq or buckets).
Example: POST /rpc/verify_scope {"scope": "conversation:<id>", "position": 41, "from_seq": 1,
"buckets": {"0": [40, 2870177450]}}';
