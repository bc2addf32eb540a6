-- What is put in place is written first, under the lock of its conversation, as by whoever opens a
-- conflict; then the row of the conflict. Of two devices that decide at once the second waits for
-- the first, finds that it is decided, and writes nothing: also where both decide the same, since
-- somebody may have changed the thing between the two.
CREATE OR REPLACE FUNCTION api.resolve_conflict(
    conflict_id uuid,
    strategy roost.conflict_strategy,
    content jsonb DEFAULT NULL
)
RETURNS roost.sync_conflict
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conflict roost.sync_conflicts := roost.require_conflict(resolve_conflict.conflict_id);
    v_resolution jsonb := CASE resolve_conflict.strategy
        WHEN 'merged' THEN resolve_conflict.content
    END;
BEGIN
    IF resolve_conflict.strategy IS NULL
        OR (resolve_conflict.strategy = 'merged') IS DISTINCT FROM (
            jsonb_typeof(resolve_conflict.content) IS NOT DISTINCT FROM 'object'
        )
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'It is not said what is to stay.',
            DETAIL = format('strategy: %s', coalesce(resolve_conflict.strategy::text, 'null')),
            HINT = 'Send mine or theirs as strategy, or merged with an object as content.';
    END IF;

    -- Editors may not lock a workspace by themselves, and their turn comes here.
    IF v_conflict.state = 'open' AND v_conflict.target_kind = 'file' THEN
        PERFORM roost.lock_workspace((v_conflict.args ->> 'workspace_id')::uuid, 'editor');
        v_conflict := roost.require_conflict(resolve_conflict.conflict_id);
    ELSIF v_conflict.state = 'open' AND resolve_conflict.strategy <> 'theirs' THEN
        PERFORM roost.lock_targets(
            jsonb_build_array(
                jsonb_build_object('id', 1, 'kind', v_conflict.kind, 'args', v_conflict.args)
            ),
            0
        );
        v_conflict := roost.require_conflict(resolve_conflict.conflict_id);
    END IF;

    IF v_conflict.state = 'open' THEN
        PERFORM roost.apply_resolution(v_conflict, resolve_conflict.strategy, v_resolution);

        UPDATE roost.sync_conflicts AS conflict
        SET state = 'resolved',
            strategy = resolve_conflict.strategy,
            resolution = v_resolution,
            resolved_by = roost.current_device_id(),
            resolved_at = now()
        WHERE conflict.id = v_conflict.id AND conflict.state = 'open'
        RETURNING conflict.* INTO v_conflict;

        IF FOUND THEN
            PERFORM roost.publish_conflict(v_conflict, 'conflict.resolved');

            RETURN roost.describe_conflict(v_conflict, true);
        END IF;

        v_conflict := roost.require_conflict(resolve_conflict.conflict_id);
    END IF;

    IF (v_conflict.strategy, v_conflict.resolution)
        IS DISTINCT FROM (resolve_conflict.strategy, v_resolution)
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The conflict was decided already, in another way.',
            DETAIL = row_to_json(roost.describe_conflict(v_conflict, false))::text,
            HINT = 'Change what is there now, as by edit_message.';
    END IF;

    -- Whoever decides again was not answered, perhaps because the server died right behind the
    -- commit: then nobody has told the relays.
    PERFORM realtime.wake(format('user:%s', v_conflict.user_id));

    RETURN roost.describe_conflict(v_conflict, true);
END;
$$;

ALTER FUNCTION api.resolve_conflict(uuid, roost.conflict_strategy, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.resolve_conflict(uuid, roost.conflict_strategy, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.resolve_conflict(uuid, roost.conflict_strategy, jsonb)
TO roost_user;

COMMENT ON FUNCTION api.resolve_conflict(uuid, roost.conflict_strategy, jsonb) IS
'Decides a conflict: what the operation was to do is done after all, on what is there now, or
nothing is done, or something else is put in place. It is decided for all devices of the person,
which get conflict.resolved on user:<id>. Deciding it again in the same way answers the same. The
copy of a file is deleted, whatever is decided.

Callers: the person whose operation it was.
Arguments: conflict_id. strategy, mine, theirs or merged. content, for merged alone: the content
of the message, the fields of the conversation, workspace or account, as update_conversation,
update_workspace and update_me take them, or the hash of what is to be in the file.
Returns: the conflict, an object as get_conflict answers it.
Errors: RO101, RO201 (no such conflict), RO302 (strategy and content do not fit), RO303 (decided
in another way), and those of the function that it calls.
Example: POST /rpc/resolve_conflict {"conflict_id": "<id>", "strategy": "mine"}';
