-- One expression, which the planner puts into the statement. An empty text is one empty line: so
-- lines put together again are the text, whatever it ends with.
CREATE OR REPLACE FUNCTION roost.split_lines(p_text text)
RETURNS text[]
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE
    WHEN p_text = '' THEN ARRAY['']
    ELSE pg_catalog.string_to_array(p_text, E'\n')
END;

REVOKE ALL ON FUNCTION roost.split_lines(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.split_lines(text) TO roost_api;

COMMENT ON FUNCTION roost.split_lines(text) IS 'The lines of a text, without what ends them.';
