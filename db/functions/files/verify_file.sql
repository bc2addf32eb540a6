-- Read before anything is locked: writers do not wait for so many bytes.
CREATE OR REPLACE FUNCTION api.verify_file(
    file_id uuid,
    version bigint DEFAULT NULL,
    from_byte bigint DEFAULT 0
)
RETURNS roost.file_check
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT bigint := 268435456;
    v_file roost.file := roost.require_file(
        verify_file.file_id, verify_file.version IS NOT NULL
    );
    v_version roost.file_versions := roost.require_file_version(
        v_file.id, coalesce(verify_file.version, v_file.version)
    );
    v_to_byte bigint;
    v_ranges int8multirange;
    v_check roost.file_check;
BEGIN
    IF (verify_file.from_byte BETWEEN 0 AND v_version.size) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The file has no such byte.',
            DETAIL = format('from_byte: %s', coalesce(verify_file.from_byte::text, 'null')),
            HINT = 'Send 0, or next_byte of the answer before.';
    END IF;

    v_to_byte := verify_file.from_byte + c_most_bytes;

    IF v_to_byte >= v_version.size THEN
        v_to_byte := NULL;
    END IF;

    -- What is missing at the end has no bytes, but a place.
    SELECT
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'from_byte', found.from_byte,
                    'size', found.size,
                    'hash', found.hash,
                    'problem', found.problem
                )
                ORDER BY found.from_byte
            ),
            '[]'
        ),
        coalesce(
            range_agg(int8range(found.from_byte, found.from_byte + greatest(found.size, 1))), '{}'
        )
    INTO v_check.damaged, v_ranges
    FROM roost.verify_content(v_version.content_id, verify_file.from_byte, v_to_byte) AS found;

    PERFORM roost.note_damage(
        v_file.id, v_version.content_id, int8range(verify_file.from_byte, v_to_byte), v_ranges
    );

    v_check.file_id := v_file.id;
    v_check.version := v_version.version;
    v_check.size := v_version.size;
    v_check.is_sound := isempty(v_ranges);
    v_check.next_byte := v_to_byte;

    RETURN v_check;
END;
$$;

ALTER FUNCTION api.verify_file(uuid, bigint, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.verify_file(uuid, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.verify_file(uuid, bigint, bigint) TO roost_user;

COMMENT ON FUNCTION api.verify_file(uuid, bigint, bigint) IS
'Reads what is in a file again, up to 256 MiB a call, and names the chunks that are not what they
were. The sync_status of a file whose newest version is damaged becomes error, and is as before when
a check has found those chunks sound, or a new version has come; everybody in the workspace gets
file.updated.

Callers: members of the workspace.
Arguments: file_id. version, from list_file_versions; without it the newest. from_byte, next_byte
of the answer before; 0 to begin.
Returns: an object: file_id, version, size; is_sound, whether all that this call has read is what
it was; damaged, a list of objects with from_byte, size, hash and problem, which is damaged, size
(the chunk has another one), gap (bytes are missing before it) or end (bytes are missing after the
last one); next_byte, where the next call is to go on, null at the end.
Errors: RO101, RO201 (no such file or version, a folder, or not yours to see), RO302 (from_byte).
Example: POST /rpc/verify_file {"file_id": "<id>"}';
