-- One expression, which the planner puts into the statement.
CREATE OR REPLACE FUNCTION realtime.topic_id(p_topic text)
RETURNS uuid
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN pg_catalog.substring(
    p_topic, '^[a-z]+:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'
)::uuid;

REVOKE ALL ON FUNCTION realtime.topic_id(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.topic_id(text) TO roost_api;

COMMENT ON FUNCTION realtime.topic_id(text) IS
'The id in the name of one of Roost''s own topics, such as conversation:<id>; NULL in any other.';
