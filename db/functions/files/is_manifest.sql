CREATE OR REPLACE FUNCTION roost.is_manifest(p_manifest jsonb, p_most integer)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN jsonb_typeof(p_manifest) = 'array' AND jsonb_array_length(p_manifest) <= p_most
            THEN NOT EXISTS (
                SELECT FROM jsonb_array_elements(p_manifest) AS sent (line)
                WHERE CASE jsonb_typeof(sent.line)
                    WHEN 'array' THEN (
                        jsonb_array_length(sent.line) BETWEEN 2 AND 5
                        AND jsonb_typeof(sent.line -> 0) = 'string'
                        AND sent.line ->> 0 <> ''
                        AND coalesce(sent.line ->> 1, 'folder') ~ '^([0-9a-fA-F]{64}|folder)$'
                        AND coalesce(sent.line ->> 2, '0') ~ '^[0-9]{1,18}$'
                        AND coalesce(sent.line ->> 3, '0') ~ '^[0-9]{1,18}$'
                        AND coalesce(
                            sent.line ->> 4, '00000000-0000-0000-0000-000000000000'
                        ) ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                    ) IS NOT TRUE
                    ELSE true
                END
            )
        ELSE false
    END;
$$;

REVOKE ALL ON FUNCTION roost.is_manifest(jsonb, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.is_manifest(jsonb, integer) TO roost_api;

COMMENT ON FUNCTION roost.is_manifest(jsonb, integer) IS
'Whether this is a part of a manifest, of at most so many lines.';
