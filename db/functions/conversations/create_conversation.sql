CREATE OR REPLACE FUNCTION api.create_conversation(
    title text DEFAULT '',
    participants uuid[] DEFAULT '{}',
    workspace_path text DEFAULT '',
    metadata jsonb DEFAULT '{}'
)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_conversation roost.conversation;
    v_others uuid[];
    v_event json;
BEGIN
    IF cardinality(create_conversation.participants) > 100 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Too many participants at once.',
            DETAIL = format('participants: %s', cardinality(create_conversation.participants)),
            HINT = 'Send at most 100, and add the others with add_participant.';
    END IF;

    SELECT array_agg(DISTINCT asked.user_id)
    INTO v_others
    FROM unnest(create_conversation.participants) AS asked (user_id)
    WHERE asked.user_id IS DISTINCT FROM v_user_id;

    PERFORM roost.require_active_users(v_others);

    -- The id is made first: to read the new row back, the caller has to take part already.
    v_conversation.id := roost.uuid_v7();

    INSERT INTO roost.conversations (id, user_id, title, workspace_path, metadata)
    VALUES (
        v_conversation.id,
        v_user_id,
        create_conversation.title,
        create_conversation.workspace_path,
        create_conversation.metadata
    );

    INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
    VALUES (v_conversation.id, v_user_id, 'owner');

    INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
    SELECT v_conversation.id, other.user_id, 'member'
    FROM unnest(v_others) AS other (user_id);

    SELECT
        conversation.id,
        conversation.user_id,
        conversation.title,
        conversation.workspace_path,
        conversation.metadata,
        'owner'::roost.participant_role,
        conversation.last_seq,
        conversation.last_activity,
        conversation.created_at,
        conversation.updated_at
    INTO STRICT v_conversation
    FROM roost.conversations AS conversation
    WHERE conversation.id = v_conversation.id;

    -- Every inbox is a row lock. Taken in one order everywhere, two conversations between the same
    -- people can't wait for each other.
    v_event := json_build_object(
        'conversation_id', v_conversation.id,
        'title', v_conversation.title,
        'added_by', v_user_id
    );
    PERFORM realtime.publish(inbox.topic, 'conversation.added', v_event)
    FROM (
        SELECT format('user:%s', member.user_id) AS topic
        FROM unnest(v_others || v_user_id) AS member (user_id)
        ORDER BY member.user_id
    ) AS inbox;

    RETURN v_conversation;
END;
$$;

ALTER FUNCTION api.create_conversation(text, uuid[], text, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.create_conversation(text, uuid[], text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.create_conversation(text, uuid[], text, jsonb) TO roost_user;

COMMENT ON FUNCTION api.create_conversation(text, uuid[], text, jsonb) IS
'Opens a conversation. The caller becomes its owner, the others members; each of them gets
conversation.added in their inbox, user:<id>.

Callers: signed-in people.
Arguments: title, at most 200 characters. participants, up to 100 user ids. workspace_path, at most
4096 characters. metadata, an object of at most 64 KiB.
Returns: the conversation, an object.
Errors: RO101, RO201 (no such person), RO302 (too many participants), 23514 (a value does not fit).
Example: POST /rpc/create_conversation {"title": "Plans", "participants": ["<user id>"]}';
