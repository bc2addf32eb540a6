CREATE OR REPLACE FUNCTION roost.read_manifest(
    p_manifest jsonb,
    OUT path text,
    OUT parts text[],
    OUT hash text,
    OUT size bigint,
    OUT base_version bigint,
    OUT file_id uuid
)
RETURNS SETOF record
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        normalize(sent.line ->> 0, NFC),
        string_to_array(normalize(sent.line ->> 0, NFC), '/'),
        lower(sent.line ->> 1),
        (sent.line ->> 2)::bigint,
        (sent.line ->> 3)::bigint,
        (sent.line ->> 4)::uuid
    FROM jsonb_array_elements(p_manifest) AS sent (line);
$$;

REVOKE ALL ON FUNCTION roost.read_manifest(jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_manifest(jsonb) TO roost_api;

COMMENT ON FUNCTION roost.read_manifest(jsonb) IS
'The lines of a part of a manifest that is one, with paths composed (NFC).';
