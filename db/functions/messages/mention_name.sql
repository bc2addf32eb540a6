-- What is longer than find_mentions looks is mentioned by nothing, and might not fit into an index:
-- there are characters that become 18.
CREATE OR REPLACE FUNCTION roost.mention_name(p_display_name text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_longest CONSTANT integer := 256;
    v_name text := roost.fold_text(p_display_name);
BEGIN
    RETURN CASE WHEN char_length(v_name) > c_longest THEN '' ELSE v_name END;
END;
$$;

REVOKE ALL ON FUNCTION roost.mention_name(text) FROM PUBLIC;

COMMENT ON FUNCTION roost.mention_name(text) IS
'A display name as it is looked up after an @: without case and accents; empty for none that can be
mentioned.';
