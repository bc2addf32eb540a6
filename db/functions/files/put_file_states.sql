CREATE OR REPLACE FUNCTION api.put_file_states(workspace_id uuid, files jsonb)
RETURNS SETOF roost.put_outcome
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_files CONSTANT integer := 1000;
    c_keys CONSTANT text[] := ARRAY[
        'path', 'hash', 'size', 'modified_at', 'base_version', 'media_type', 'metadata',
        'conflict_policy', 'file_id'
    ];
    v_sent jsonb;
    v_constraint text;
    v_outcome roost.file_outcome;
    v_put roost.put_outcome;
BEGIN
    PERFORM roost.lock_workspace(put_file_states.workspace_id, 'editor');

    IF jsonb_typeof(put_file_states.files) IS DISTINCT FROM 'array'
        OR jsonb_array_length(put_file_states.files) > c_most_files
        OR put_file_states.files @? '$[*] ? (@.type() != "object")'
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This is no list of files.',
            DETAIL = format('files: %s', coalesce(left(put_file_states.files::text, 200), 'null')),
            HINT = 'Send a list of at most 1,000 objects.';
    END IF;

    FOR v_sent IN SELECT sent.file FROM jsonb_array_elements(put_file_states.files) AS sent (file)
    LOOP
        v_put := NULL;
        v_put.path := v_sent ->> 'path';

        -- A savepoint: what fails in it leaves nothing behind. What may succeed the next time rolls
        -- back all of them.
        BEGIN
            IF v_sent - c_keys <> '{}' THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'RO302',
                    MESSAGE = 'The file has a key that is not known.',
                    DETAIL = format('path: %s', left(v_put.path, 200)),
                    HINT = format('Send of these: %s.', array_to_string(c_keys, ', '));
            END IF;

            v_outcome := roost.put_file(
                put_file_states.workspace_id,
                v_put.path,
                (
                    roost.find_put_content(
                        put_file_states.workspace_id, v_sent ->> 'hash', (v_sent ->> 'size')::bigint
                    )
                ).id,
                (v_sent ->> 'base_version')::bigint,
                (v_sent ->> 'modified_at')::timestamptz,
                v_sent ->> 'media_type',
                nullif(v_sent -> 'metadata', 'null'),
                v_sent ->> 'conflict_policy',
                (v_sent ->> 'file_id')::uuid
            );
            v_put.outcome := v_outcome.outcome;
            v_put.file := v_outcome.file;
            v_put.conflict_id := v_outcome.conflict_id;
            v_put.copy := v_outcome.copy;
        EXCEPTION
            WHEN OTHERS THEN
                IF roost.is_passing(SQLSTATE) THEN
                    RAISE;
                END IF;

                GET STACKED DIAGNOSTICS
                    v_put.code = RETURNED_SQLSTATE,
                    v_put.message = MESSAGE_TEXT,
                    v_put.details = PG_EXCEPTION_DETAIL,
                    v_put.hint = PG_EXCEPTION_HINT,
                    v_constraint = CONSTRAINT_NAME;
                v_put.outcome := 'rejected';
                v_put.hint := coalesce(
                    nullif(v_put.hint, ''), roost.error_cure(v_put.code, v_constraint)
                );
        END;

        RETURN NEXT v_put;
    END LOOP;
END;
$$;

ALTER FUNCTION api.put_file_states(uuid, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.put_file_states(uuid, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.put_file_states(uuid, jsonb) TO roost_user;

COMMENT ON FUNCTION api.put_file_states(uuid, jsonb) IS
'Does what put_file_state does for each of a list, in one transaction: those that can''t be done
are answered with what is wrong with them, and keep no other from being done.

Callers: the owner of the workspace, and editors.
Arguments: workspace_id. files, a list of up to 1,000 objects, each with path, hash, size,
modified_at, base_version, media_type, metadata, conflict_policy and file_id as for put_file_state.
Returns: a list, in the same order: path, outcome, file, conflict_id and copy as of
put_file_state; with the outcome rejected code, message, details and hint as that would have
answered them.
Errors: RO101, RO201 (not your workspace), RO202 (role too low), RO302 (no list of files).
Example: POST /rpc/put_file_states {"workspace_id": "<id>", "files": [{"path": "a", "hash": "<64
digits>"}]}';
