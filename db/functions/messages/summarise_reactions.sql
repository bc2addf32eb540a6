CREATE OR REPLACE FUNCTION roost.summarise_reactions(p_message_id uuid)
RETURNS jsonb
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        jsonb_agg(
            jsonb_build_object(
                'reaction', summary.reaction,
                'count', summary.count,
                'user_ids', to_jsonb(summary.user_ids[1:20])
            )
            ORDER BY summary.first_used_at, summary.reaction
        ),
        '[]'
    )
    FROM (
        SELECT
            given.reaction,
            count(*) AS count,
            min(given.created_at) AS first_used_at,
            array_agg(given.user_id ORDER BY given.created_at, given.user_id) AS user_ids
        FROM roost.message_reactions AS given
        WHERE given.message_id = p_message_id
        GROUP BY given.reaction
    ) AS summary;
$$;

REVOKE ALL ON FUNCTION roost.summarise_reactions(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.summarise_reactions(uuid) TO roost_api;

COMMENT ON FUNCTION roost.summarise_reactions(uuid) IS
'What messages.reactions has to be: [{reaction, count, user_ids: the first 20}], in the order in
which they came up.';
