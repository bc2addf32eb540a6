-- The conversation is locked first, so nobody comes between the look and the edit.
CREATE OR REPLACE FUNCTION roost.settle_edit(p_operation roost.device_operation)
RETURNS roost.operation_effect
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stored roost.messages := roost.lock_message(p_operation.target_id, 'message.edit_own');
    v_earlier roost.earlier_edit;
    v_base jsonb := p_operation.base;
    v_mine jsonb := p_operation.args - ARRAY['message_id', 'based_on_version'];
    v_theirs jsonb;
    v_merge roost.json_merge;
    v_is_stale boolean;
    v_effect roost.operation_effect := ROW(NULL, NULL, false, true)::roost.operation_effect;
BEGIN
    -- An edit without metadata leaves it as it is.
    IF jsonb_typeof(v_mine -> 'metadata') IS NOT DISTINCT FROM 'null' THEN
        v_mine := v_mine - 'metadata';
    END IF;

    -- Of a deleted message what it was before that, which is what is brought back.
    v_theirs := roost.pick_keys(
        CASE
            WHEN v_stored.deleted_at IS NULL
                THEN jsonb_build_object('content', v_stored.content, 'metadata', v_stored.metadata)
            ELSE roost.read_message_version(v_stored.id, v_stored.version - 1)
        END,
        v_mine
    );

    -- An edit of one's own edit, made before it was known what became of that: the version after
    -- the one that the first was based on, which may be somebody else's. That the device has read,
    -- or acknowledged, what was there when the first one failed does not say that this one was made
    -- behind that: only base does.
    IF v_base IS NULL AND p_operation.base_version > 1 THEN
        v_earlier := roost.find_earlier_edit(p_operation);

        IF v_earlier.base_version = p_operation.base_version - 1 AND v_earlier.code IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO306',
                MESSAGE = 'It edits an edit that was not applied.',
                DETAIL = format(
                    'Operation: %s', coalesce(v_earlier.id::text, v_earlier.offline_id::text)
                ),
                HINT = 'Make the edit again in the message as it is, under a new id. With base,'
                    ' what it was made in, an edit is taken for no other''s.';
        ELSIF v_earlier.base_version = p_operation.base_version - 1 THEN
            v_base := v_earlier.args;
        END IF;
    END IF;

    v_is_stale := CASE
        WHEN v_base IS NOT NULL
            THEN v_stored.deleted_at IS NOT NULL
                OR roost.pick_keys(v_base, v_mine) IS DISTINCT FROM v_theirs
        ELSE p_operation.base_version IS NOT NULL AND p_operation.base_version <> v_stored.version
    END;
    v_base := roost.pick_keys(
        coalesce(
            v_base, roost.read_message_version(p_operation.target_id, p_operation.base_version)
        ),
        v_mine
    );

    -- What is no content can't be put in place by anybody's decision either: the function says so.
    IF NOT v_is_stale
        OR v_stored.purged_at IS NOT NULL
        OR jsonb_typeof(v_mine -> 'content') IS DISTINCT FROM 'object'
    THEN
        v_effect.result := roost.apply_operation(
            'edit_message',
            p_operation.args || jsonb_build_object('based_on_version', v_stored.version)
        );

        RETURN v_effect;
    END IF;

    v_effect.is_as_sent := false;

    IF p_operation.policy = 'merge' AND v_base ? 'content' AND v_theirs ? 'content' THEN
        v_merge := roost.merge_json(v_base, v_mine, v_theirs);
    END IF;

    IF p_operation.policy = 'server_wins' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The message was changed since the version that the edit is based on.',
            DETAIL = row_to_json(roost.describe_message(v_stored))::text,
            HINT = 'Make the edit again in the message that details has, based on its version.';
    ELSIF v_merge.hunks = '[]' THEN
        v_effect.result := roost.rewrite_message(
            p_operation.target_id, v_merge.merged -> 'content', v_merge.merged -> 'metadata'
        );
    ELSIF p_operation.policy IN ('last_write_wins', 'client_wins') THEN
        v_effect.result := roost.rewrite_message(
            p_operation.target_id, v_mine -> 'content', v_mine -> 'metadata'
        );
    END IF;

    -- Recorded where a person is to decide, or may want to know what was overwritten.
    IF p_operation.policy = 'client_wins' OR v_effect.result IS NULL THEN
        v_effect.is_open := v_effect.result IS NULL;
        v_effect.conflict_id := roost.open_conflict(
            p_operation, 'message', v_base, v_mine,
            CASE WHEN v_stored.deleted_at IS NULL THEN v_theirs END, v_merge.hunks,
            v_effect.is_open
        );
    END IF;

    RETURN v_effect;
END;
$$;

REVOKE ALL ON FUNCTION roost.settle_edit(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.settle_edit(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.settle_edit(roost.device_operation) IS
'Edits a message, or settles the edit with what was done to it since the version that it is based
on. An edit brings back a message that its author has deleted meanwhile, unless the server wins.';
