CREATE OR REPLACE FUNCTION roost.write_search_cursor(
    p_query text,
    p_ranked_at double precision,
    p_total text,
    p_place bigint,
    p_score double precision,
    p_time timestamptz,
    p_conversation_id uuid,
    p_seq bigint
)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT translate(
        encode(
            convert_to(
                json_build_object(
                    'query', p_query,
                    'ranked_at', p_ranked_at,
                    'total', p_total,
                    'place', p_place,
                    'score', p_score,
                    'time', p_time,
                    'conversation_id', p_conversation_id,
                    'seq', p_seq
                )::text,
                'UTF8'
            ),
            'base64'
        ),
        E'\n',
        ''
    );
$$;

REVOKE ALL ON FUNCTION roost.write_search_cursor(
    text, double precision, text, bigint, double precision, timestamptz, uuid, bigint
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.write_search_cursor(
    text, double precision, text, bigint, double precision, timestamptz, uuid, bigint
) TO roost_api;

COMMENT ON FUNCTION roost.write_search_cursor(
    text, double precision, text, bigint, double precision, timestamptz, uuid, bigint
) IS
'The next of a page of search_messages: where it ended, and what the ranks were computed from.';
