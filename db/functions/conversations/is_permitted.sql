-- For the second wall, which says no more than no; functions ask roost.require_permission.
CREATE OR REPLACE FUNCTION roost.is_permitted(p_conversation_id uuid, p_permission text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        roost.conversation_role(p_conversation_id) >= allowed.least_role
        AND (
            allowed.in_archive
            OR NOT EXISTS (
                SELECT FROM roost.conversations AS conversation
                WHERE conversation.id = p_conversation_id AND conversation.archived_at IS NOT NULL
            )
        ),
        false
    )
    FROM roost.conversation_permissions AS allowed
    WHERE allowed.permission = p_permission;
$$;

REVOKE ALL ON FUNCTION roost.is_permitted(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.is_permitted(uuid, text) TO roost_api;

COMMENT ON FUNCTION roost.is_permitted(uuid, text) IS
'Whether the caller may do something in a conversation, as roost.conversation_permissions says.';
