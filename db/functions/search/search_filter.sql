CREATE OR REPLACE FUNCTION roost.search_filter(
    p_user_id uuid,
    p_message_type text,
    p_has_attachment boolean,
    p_root_message_id uuid
)
RETURNS tsquery
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_message_type !~ '^[a-z][a-z0-9_.-]{0,63}$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'There can be no such type of message.',
            DETAIL = format('message_type: %s', left(p_message_type, 200)),
            HINT = 'Send a type in lower case, such as text or code.snippet.';
    END IF;

    RETURN (
        SELECT string_agg(mark.operator || quote_literal(E'\x01' || mark.word), '&')
        FROM (
            VALUES
                ('', 'u' || roost.search_key(p_user_id)),
                ('', 't' || p_message_type),
                ('', 'r' || roost.search_key(p_root_message_id)),
                (CASE WHEN p_has_attachment THEN '' ELSE '!' END,
                    CASE WHEN p_has_attachment IS NOT NULL THEN 'a' END)
        ) AS mark (operator, word)
        WHERE mark.word IS NOT NULL
    )::tsquery;
END;
$$;

REVOKE ALL ON FUNCTION roost.search_filter(uuid, text, boolean, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.search_filter(uuid, text, boolean, uuid) TO roost_api;

COMMENT ON FUNCTION roost.search_filter(uuid, text, boolean, uuid) IS
'The marks of roost.search_vector that these filters ask for; NULL without any. Raises RO302 for
what is no type of message.';
