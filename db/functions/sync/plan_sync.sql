-- One walk through what the person may read and one through what the device has. Newest first: the
-- person's own things, then conversations and workspaces in which something is new by their last
-- activity, conversations with their newest messages; what is older follows when all of them can be
-- used.
CREATE OR REPLACE FUNCTION roost.plan_sync(
    p_given jsonb,
    p_filter jsonb,
    OUT o_total bigint,
    OUT o_steps roost.sync_step[]
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- So many messages of each conversation come before older ones of any.
    c_first CONSTANT bigint := 50;
    v_epoch text := realtime.get_epoch();
    v_most bigint := coalesce((p_filter ->> 'messages')::bigint, 9223372036854775807);
    v_only_conversations jsonb := p_filter -> 'conversations';
    v_only_workspaces jsonb := p_filter -> 'workspaces';
BEGIN
    SELECT
        count(*) FILTER (WHERE staged.stage BETWEEN 1 AND 4),
        coalesce(
            array_agg(
                ROW(
                    staged.scope, staged.stage, staged.last_offset, staged.visible_after,
                    staged.position, staged.from_seq, staged.to_seq, staged.held_count
                )::roost.sync_step
                ORDER BY staged.stage, staged.last_activity DESC, staged.scope
            ) FILTER (WHERE staged.stage < 4),
            '{}'
        )
    INTO o_total, o_steps
    FROM (
        SELECT
            known.*,
            CASE
                WHEN known.is_lost THEN 0
                WHEN NOT known.is_asked_for THEN 5
                WHEN known.position < known.last_offset
                    OR known.to_seq < known.last_offset
                    OR known.from_seq <= known.visible_after
                    THEN CASE WHEN known.scope LIKE 'user:%' THEN 1 ELSE 2 END
                WHEN known.from_seq <= known.visible_after + 1 OR known.held_count >= v_most THEN 4
                WHEN known.held_count < c_first THEN 2
                ELSE 3
            END::bigint AS stage
        FROM (
            SELECT
                both_sides.scope,
                both_sides.is_lost,
                both_sides.is_asked_for,
                both_sides.last_offset,
                both_sides.visible_after,
                both_sides.last_activity,
                CASE WHEN both_sides.goes_on THEN both_sides.position ELSE -1 END AS position,
                CASE
                    WHEN both_sides.goes_on THEN both_sides.from_seq
                    WHEN both_sides.scope LIKE 'conversation:%' THEN both_sides.last_offset + 1
                    ELSE 1
                END AS from_seq,
                CASE
                    WHEN both_sides.goes_on THEN both_sides.to_seq ELSE both_sides.last_offset
                END AS to_seq,
                CASE WHEN both_sides.goes_on THEN both_sides.held_count ELSE 0 END AS held_count
            FROM (
                SELECT
                    compared.*,
                    compared.is_known AND NOT compared.is_reset AS goes_on,
                    -- The id is looked for where there is a filter alone: it takes longer than all
                    -- else that is done for a scope.
                    CASE
                        WHEN v_only_conversations IS NOT NULL
                            AND compared.scope LIKE 'conversation:%'
                            THEN v_only_conversations ? realtime.topic_id(compared.scope)::text
                        WHEN v_only_workspaces IS NOT NULL AND compared.scope LIKE 'workspace:%'
                            THEN v_only_workspaces ? realtime.topic_id(compared.scope)::text
                        ELSE true
                    END AS is_asked_for
                FROM (
                    SELECT
                        coalesce(readable.topic, kept.scope) AS scope,
                        readable.topic IS NULL AS is_lost,
                        kept.scope IS NOT NULL AS is_known,
                        coalesce(
                            kept.epoch <> v_epoch
                            OR kept.position > readable.last_offset
                            OR kept.to_seq > readable.last_offset
                            OR kept.position < readable.removed_offset,
                            false
                        ) AS is_reset,
                        readable.last_offset,
                        readable.visible_after,
                        readable.last_activity,
                        kept.position,
                        kept.from_seq,
                        kept.to_seq,
                        kept.held_count
                    FROM roost.list_scopes() AS readable
                    FULL JOIN (
                        SELECT
                            stored.scope, stored.epoch, stored.position, stored.from_seq,
                            stored.to_seq, stored.held_count
                        FROM roost.sync_scopes AS stored
                        WHERE stored.device_id = roost.current_device_id()
                            AND NOT p_given ? stored.scope
                        UNION ALL
                        SELECT
                            given.key, v_epoch, (given.value ->> 0)::bigint,
                            (given.value ->> 1)::bigint, (given.value ->> 2)::bigint,
                            (given.value ->> 3)::bigint
                        FROM jsonb_each(jsonb_strip_nulls(p_given)) AS given
                    ) AS kept ON kept.scope = readable.topic
                ) AS compared
            ) AS both_sides
        ) AS known
    ) AS staged;
END;
$$;

REVOKE ALL ON FUNCTION roost.plan_sync(jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.plan_sync(jsonb, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.plan_sync(jsonb, jsonb) IS
'What the calling device lacks, scope by scope, in the order in which pull_changes gives it, and how
many scopes there are. p_given is what the cursor says beyond what was acknowledged. Stages: 0 the
person may not read it any more; 1 their own things; 2 something is new, or the first messages are
missing; 3 older messages.';
