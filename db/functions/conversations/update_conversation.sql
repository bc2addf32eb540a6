CREATE OR REPLACE FUNCTION api.update_conversation(
    conversation_id uuid,
    title text DEFAULT NULL,
    workspace_path text DEFAULT NULL,
    metadata jsonb DEFAULT NULL,
    search_language text DEFAULT NULL,
    workspace_id uuid DEFAULT NULL
)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_conversation roost.conversations;
BEGIN
    PERFORM roost.lock_conversation(update_conversation.conversation_id, 'conversation.update');

    IF update_conversation.workspace_id IS NOT NULL THEN
        PERFORM roost.require_workspace(update_conversation.workspace_id, 'viewer');
    END IF;

    -- What changes nothing is no event.
    UPDATE roost.conversations AS conversation
    SET title = wanted.title,
        workspace_path = wanted.workspace_path,
        metadata = wanted.metadata,
        search_language = wanted.search_language,
        workspace_id = wanted.workspace_id
    FROM (
        SELECT
            current.id,
            coalesce(update_conversation.title, current.title) AS title,
            coalesce(update_conversation.workspace_path, current.workspace_path) AS workspace_path,
            roost.merge_keys(current.metadata, update_conversation.metadata) AS metadata,
            coalesce(
                update_conversation.search_language, current.search_language
            ) AS search_language,
            coalesce(update_conversation.workspace_id, current.workspace_id) AS workspace_id
        FROM roost.conversations AS current
        WHERE current.id = update_conversation.conversation_id
    ) AS wanted
    WHERE conversation.id = wanted.id
        AND (
            conversation.title, conversation.workspace_path, conversation.metadata::jsonb,
            conversation.search_language, conversation.workspace_id
        ) IS DISTINCT FROM (
            wanted.title, wanted.workspace_path, wanted.metadata, wanted.search_language,
            wanted.workspace_id
        )
    RETURNING conversation.* INTO v_conversation;

    IF FOUND THEN
        PERFORM roost.publish_conversation(v_conversation, 'conversation.updated');
    END IF;

    RETURN roost.own_conversation(update_conversation.conversation_id);
END;
$$;

ALTER FUNCTION api.update_conversation(uuid, text, text, jsonb, text, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.update_conversation(uuid, text, text, jsonb, text, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.update_conversation(uuid, text, text, jsonb, text, uuid)
TO roost_user;

COMMENT ON FUNCTION api.update_conversation(uuid, text, text, jsonb, text, uuid) IS
'Changes a conversation. What is left out stays as it is. Everybody in it gets
conversation.updated; a call that changes nothing tells nobody.

Callers: admins and the owner of the conversation.
Arguments: conversation_id. title, at most 200 characters. workspace_path, at most 4096
characters. metadata, an object that is laid over the stored one key by key; a key whose value is
null is removed; at most 64 KiB. search_language, simple or a language such as english, in which
its messages are searched. workspace_id, the workspace that it is about, which those alone see who
are in that.
Returns: the conversation, an object.
Errors: RO101, RO201 (not your conversation or workspace), RO202 (role too low), RO203 (archived),
23514 (a value does not fit).
Example: POST /rpc/update_conversation {"conversation_id": "<id>", "title": "Plans for May"}';
