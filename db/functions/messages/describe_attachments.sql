-- What is no object, has unknown keys or values of the wrong kind is refused here, with the place;
-- the rest is for the constraints of message_attachments.
CREATE OR REPLACE FUNCTION roost.describe_attachments(p_attachments jsonb)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 20;
    v_place bigint;
    v_cure text;
BEGIN
    IF jsonb_typeof(p_attachments) IS DISTINCT FROM 'array' THEN
        v_cure := 'Send a list of attachments.';
    ELSIF jsonb_array_length(p_attachments) > c_most THEN
        v_cure := format('Send at most %s attachments; more go into further messages.', c_most);
    ELSE
        SELECT sent.place, sent.cure
        INTO v_place, v_cure
        FROM (
            SELECT
                attached.place,
                CASE
                    WHEN jsonb_typeof(attached.value) <> 'object'
                        THEN 'Send an object: {"name", "media_type", "size", "sha256", "url"}.'
                    WHEN attached.value - ARRAY[
                        'name', 'media_type', 'size', 'sha256', 'file_id', 'url'
                    ] <> '{}'
                        THEN 'Send name, media_type, size, sha256, file_id and url, nothing else.'
                    WHEN jsonb_typeof(attached.value -> 'name') IS DISTINCT FROM 'string'
                        THEN 'Send a name, a string.'
                    WHEN jsonb_typeof(attached.value -> 'media_type') IS DISTINCT FROM 'string'
                        THEN 'Send a media_type, such as image/png.'
                    WHEN attached.value ->> 'size' !~ '^[0-9]{1,18}$'
                        OR jsonb_typeof(attached.value -> 'size') IS DISTINCT FROM 'number'
                        THEN 'Send the size in bytes, a whole number.'
                    WHEN coalesce(jsonb_typeof(attached.value -> 'sha256'), 'null')
                        NOT IN ('string', 'null')
                        THEN 'Send sha256 as a string.'
                    WHEN coalesce(attached.value ->> 'file_id', '') !~ '^([0-9a-f-]{36})?$'
                        THEN 'Send file_id as a UUID in lower case.'
                    WHEN coalesce(jsonb_typeof(attached.value -> 'url'), 'null')
                        NOT IN ('string', 'null')
                        THEN 'Send url as a string.'
                END AS cure
            FROM jsonb_array_elements(p_attachments) WITH ORDINALITY AS attached (value, place)
        ) AS sent
        WHERE sent.cure IS NOT NULL
        ORDER BY sent.place
        LIMIT 1;
    END IF;

    IF v_cure IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The attachments can not be taken.',
            DETAIL = format('Attachment: %s', coalesce(v_place::text, 'all')),
            HINT = v_cure;
    END IF;

    RETURN (
        SELECT coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'id', roost.uuid_v7(),
                    'name', attached.value -> 'name',
                    'media_type', attached.value -> 'media_type',
                    'size', attached.value -> 'size',
                    'sha256', attached.value -> 'sha256',
                    'file_id', attached.value -> 'file_id',
                    'url', attached.value -> 'url'
                )
                ORDER BY attached.place
            ),
            '[]'
        )
        FROM jsonb_array_elements(p_attachments) WITH ORDINALITY AS attached (value, place)
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.describe_attachments(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_attachments(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.describe_attachments(jsonb) IS
'Attachments as a client sent them, with new ids, as clients get them. Raises RO302 for what is no
list of at most 20 attachments.';
