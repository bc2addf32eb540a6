-- One expression, which the planner puts into the statement. Counts what may be large.
CREATE OR REPLACE FUNCTION roost.message_size(p_message roost.messages)
RETURNS bigint
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.octet_length(p_message.content::text)::bigint
    + pg_catalog.octet_length(p_message.metadata::text)
    + pg_catalog.octet_length(p_message.attachments::text)
    + pg_catalog.octet_length(p_message.reactions::text)
    + 39 * pg_catalog.cardinality(p_message.mentions);

REVOKE ALL ON FUNCTION roost.message_size(roost.messages) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.message_size(roost.messages) TO roost_api;

COMMENT ON FUNCTION roost.message_size(roost.messages) IS
'Bytes that a message takes in a page, but for what every message has.';
