CREATE OR REPLACE FUNCTION roost.require_sync_filter(p_filter jsonb)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_ids CONSTANT integer := 1000;
    c_most_messages CONSTANT integer := 10000;
BEGIN
    IF p_filter IS NULL OR p_filter = 'null' THEN
        RETURN;
    END IF;

    IF (
        jsonb_typeof(p_filter) = 'object'
        AND p_filter - ARRAY['conversations', 'workspaces', 'messages'] = '{}'
        AND (
            SELECT bool_and(
                CASE
                    WHEN NOT p_filter ? known.kind THEN true
                    WHEN jsonb_typeof(p_filter -> known.kind) <> 'array' THEN false
                    ELSE jsonb_array_length(p_filter -> known.kind) <= c_most_ids
                        AND NOT EXISTS (
                            SELECT FROM jsonb_array_elements_text(p_filter -> known.kind)
                                AS asked (id)
                            WHERE realtime.topic_id(concat('topic:', lower(asked.id))) IS NULL
                        )
                END
            )
            FROM (VALUES ('conversations'), ('workspaces')) AS known (kind)
        )
        AND CASE
            WHEN NOT p_filter ? 'messages' THEN true
            WHEN p_filter ->> 'messages' ~ '^[0-9]{1,5}$'
                AND jsonb_typeof(p_filter -> 'messages') = 'number'
                THEN (p_filter ->> 'messages')::bigint <= c_most_messages
            ELSE false
        END
    ) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This is no filter.',
            DETAIL = format('filter: %s', left(p_filter::text, 200)),
            HINT = 'Send {"conversations": [<up to 1,000 ids>], "workspaces": [<up to 1,000 ids>],'
                ' "messages": <0 to 10000>}, any of them, or leave filter out.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_sync_filter(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_sync_filter(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.require_sync_filter(jsonb) IS
'Raises RO302 for a filter that pull_changes does not know.';
