-- Bounded, so that what is made of it fits into a tsvector, of at most 1 MiB, and is made in time.
CREATE OR REPLACE FUNCTION roost.message_text(p_content jsonb, p_attachments jsonb)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 32768;
    v_text text := (
        SELECT string_agg(found.string #>> '{}', E'\n')
        FROM jsonb_path_query(p_content, 'strict $.** ? (@.type() == "string")') AS found (string)
    );
BEGIN
    IF p_attachments <> '[]' THEN
        v_text := concat_ws(
            E'\n',
            v_text,
            (
                SELECT string_agg(found.name #>> '{}', E'\n')
                FROM jsonb_path_query(p_attachments, 'lax $[*].name') AS found (name)
            )
        );
    END IF;

    IF octet_length(v_text) > c_most_bytes THEN
        v_text := left(
            v_text,
            (c_most_bytes::bigint * char_length(v_text) / octet_length(v_text))::integer
        );
    END IF;

    -- The characters of the beginning may be longer than those of the whole, and one such as U+FDFA
    -- becomes a sentence when it is folded.
    WHILE octet_length(v_text) > char_length(v_text)
        AND greatest(octet_length(v_text), octet_length(normalize(v_text, NFKC)))
        > c_most_bytes + c_most_bytes / 4
    LOOP
        v_text := left(v_text, char_length(v_text) * 3 / 4);
    END LOOP;

    RETURN v_text;
END;
$$;

REVOKE ALL ON FUNCTION roost.message_text(jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.message_text(jsonb, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.message_text(jsonb, jsonb) IS
'What a message is found by: all strings of its content, and the names of its attachments. Long text
is cut after about 32 KiB.';
