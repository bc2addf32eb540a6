-- Field by field, and of objects that are laid over the stored ones key by key: what the operation
-- does not name it does not change, so that nothing is compared with it.
CREATE OR REPLACE FUNCTION roost.settle_fields(p_operation roost.device_operation)
RETURNS roost.operation_effect
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_objects CONSTANT text[] := ARRAY[
        'metadata', 'preferences', 'security_settings', 'settings'
    ];
    v_patch jsonb := jsonb_strip_nulls(p_operation.args - c_objects)
        - ARRAY['conversation_id', 'workspace_id']
        || roost.pick_keys(p_operation.args, to_jsonb(c_objects));
    v_now jsonb;
    v_base jsonb;
    v_mine jsonb;
    v_theirs jsonb;
    v_merge roost.json_merge;
    v_merged jsonb;
    v_effect roost.operation_effect := ROW(NULL, NULL, false, true)::roost.operation_effect;
BEGIN
    IF p_operation.kind = 'update_conversation' THEN
        PERFORM roost.lock_conversation(p_operation.target_id, 'conversation.update');

        SELECT jsonb_build_object(
            'title', conversation.title,
            'workspace_path', conversation.workspace_path,
            'metadata', conversation.metadata,
            'search_language', conversation.search_language
        )
        INTO STRICT v_now
        FROM roost.conversations AS conversation
        WHERE conversation.id = p_operation.target_id;
    ELSIF p_operation.kind = 'update_workspace' THEN
        PERFORM roost.lock_workspace(p_operation.target_id, 'owner');

        SELECT jsonb_build_object(
            'name', workspace.name,
            'path', workspace.path,
            'settings', workspace.settings
        )
        INTO STRICT v_now
        FROM roost.workspaces AS workspace
        WHERE workspace.id = p_operation.target_id;
    ELSE
        SELECT jsonb_build_object(
            'display_name', account.display_name,
            'preferences', account.preferences,
            'security_settings', account.security_settings
        )
        INTO STRICT v_now
        FROM roost.users AS account
        WHERE account.id = roost.current_user_id()
        FOR NO KEY UPDATE;
    END IF;

    -- A field of which the device does not say what it had is changed without a look.
    SELECT
        jsonb_object_agg(field.name, field.base),
        jsonb_object_agg(
            field.name,
            CASE
                WHEN field.name = ANY (c_objects)
                    THEN roost.merge_keys(field.base, field.patch::roost.json_object)
                ELSE field.patch
            END
        ),
        jsonb_object_agg(field.name, field.theirs)
    INTO v_base, v_mine, v_theirs
    FROM (
        SELECT
            sent.key AS name,
            sent.value AS patch,
            CASE
                WHEN sent.key = ANY (c_objects)
                    THEN roost.pick_keys(
                        coalesce(p_operation.base -> sent.key, v_now -> sent.key), sent.value
                    )
                ELSE coalesce(p_operation.base -> sent.key, v_now -> sent.key)
            END AS base,
            CASE
                WHEN sent.key = ANY (c_objects)
                    THEN roost.pick_keys(v_now -> sent.key, sent.value)
                ELSE v_now -> sent.key
            END AS theirs
        FROM jsonb_each(v_patch) AS sent
        WHERE sent.value <> 'null'
    ) AS field;

    v_merge := roost.merge_json(v_base, v_mine, v_theirs);

    IF coalesce(v_merge.hunks, '[]') = '[]'
        AND (v_base IS NOT DISTINCT FROM v_theirs OR p_operation.policy IN ('merge', 'manual'))
    THEN
        -- A key that is not there any more is removed by null.
        SELECT jsonb_object_agg(
            field.key,
            CASE
                WHEN field.key = ANY (c_objects)
                    THEN (
                        SELECT coalesce(jsonb_object_agg(removed.key, 'null'::jsonb), '{}')
                        FROM jsonb_object_keys(v_patch -> field.key) AS removed (key)
                    ) || field.value
                ELSE field.value
            END
        )
        INTO v_merged
        FROM jsonb_each(v_merge.merged) AS field;

        v_effect.is_as_sent := coalesce(v_merged, '{}') = v_patch;
        v_effect.result := roost.apply_operation(
            p_operation.kind, p_operation.args || coalesce(v_merged, '{}')
        );
    ELSIF p_operation.policy = 'server_wins' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'It was changed since the device had it.',
            DETAIL = v_now::text,
            HINT = 'Make the change again in what details has, based on that.';
    ELSIF p_operation.policy IN ('last_write_wins', 'client_wins') THEN
        v_effect.result := roost.apply_operation(p_operation.kind, p_operation.args);
    END IF;

    IF v_effect.result IS NULL
        OR (p_operation.policy = 'client_wins' AND v_base IS DISTINCT FROM v_theirs)
    THEN
        v_effect.is_open := v_effect.result IS NULL;
        v_effect.is_as_sent := NOT v_effect.is_open;
        v_effect.conflict_id := roost.open_conflict(
            p_operation,
            CASE p_operation.kind
                WHEN 'update_me' THEN 'account'
                WHEN 'update_workspace' THEN 'workspace'
                ELSE 'conversation'
            END,
            v_base, v_mine, v_theirs, v_merge.hunks, v_effect.is_open
        );
    END IF;

    RETURN v_effect;
END;
$$;

REVOKE ALL ON FUNCTION roost.settle_fields(roost.device_operation) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.settle_fields(roost.device_operation) TO roost_api;

COMMENT ON FUNCTION roost.settle_fields(roost.device_operation) IS
'Changes a conversation, a workspace or the caller''s account, or settles the change with what
others have made of the same fields since the device had what it names as base.';
