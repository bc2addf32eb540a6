-- After 30 days nothing is known of an operation but that it was taken.
CREATE OR REPLACE FUNCTION roost.repeat_operation(p_sent jsonb)
RETURNS roost.pushed_operation
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.sync_operations;
    v_answer roost.pushed_operation;
BEGIN
    SELECT operation.*
    INTO v_stored
    FROM roost.sync_operations AS operation
    WHERE operation.device_id = roost.current_device_id()
        AND operation.user_id = roost.current_user_id()
        AND operation.operation_id = (p_sent ->> 'id')::bigint;

    v_answer.id := (p_sent ->> 'id')::bigint;

    IF v_stored.body_hash <> roost.hash_operation(p_sent) THEN
        v_answer.outcome := 'rejected';
        v_answer.code := 'RO301';
        v_answer.message := 'The device has sent another operation under this id.';
        v_answer.details := format('Id: %s; kind: %s', v_answer.id, v_stored.kind);
        v_answer.hint := 'Send a new one under the next id; send the same body to repeat one.';

        RETURN v_answer;
    END IF;

    v_answer.outcome := 'duplicate';
    v_answer.first_outcome := v_stored.outcome;
    v_answer.code := v_stored.code;
    v_answer.message := v_stored.message;
    v_answer.details := v_stored.details;
    v_answer.hint := v_stored.hint;
    v_answer.conflict_id := v_stored.conflict_id;
    v_answer.result := v_stored.result;

    -- Whoever sends again was not answered, perhaps because the server died right behind the
    -- commit: then nobody has told the relays.
    IF v_stored.outcome = 'applied'
        AND v_stored.kind ~ '_(message|reaction|read)$'
        AND v_stored.result ? 'conversation_id'
    THEN
        PERFORM realtime.wake(format('conversation:%s', v_stored.result ->> 'conversation_id'));
    ELSIF v_stored.outcome = 'applied' THEN
        -- What it has changed, and the inboxes of who did it and of whom it was done to.
        PERFORM realtime.wake(concat(told.kind, ':', told.id))
        FROM (
            VALUES
            (
                'conversation',
                coalesce(
                    v_stored.result ->> 'conversation_id',
                    CASE
                        WHEN v_stored.kind LIKE '%\_conversation' THEN v_stored.result ->> 'id'
                    END
                )
            ),
            (
                'workspace',
                coalesce(
                    v_stored.result ->> 'workspace_id',
                    CASE WHEN v_stored.kind LIKE '%\_workspace' THEN v_stored.result ->> 'id' END
                )
            ),
            (
                'user',
                CASE
                    WHEN v_stored.kind ~ '_(participant|member)$'
                        THEN v_stored.result ->> 'user_id'
                END
            ),
            ('user', v_stored.user_id::text)
        ) AS told (kind, id)
        WHERE told.id IS NOT NULL;
    END IF;

    IF v_stored.conflict_id IS NOT NULL THEN
        PERFORM realtime.wake(format('user:%s', v_stored.user_id));
    END IF;

    RETURN v_answer;
END;
$$;

REVOKE ALL ON FUNCTION roost.repeat_operation(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.repeat_operation(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.repeat_operation(jsonb) IS
'The answer to an operation of the calling device that was taken before: what became of it then, or
RO301 for another one under its id. Nothing is done.';
