CREATE OR REPLACE FUNCTION api.create_conversation(
    title text DEFAULT '',
    participants uuid[] DEFAULT '{}',
    workspace_path text DEFAULT '',
    metadata jsonb DEFAULT '{}',
    id uuid DEFAULT NULL,
    workspace_id uuid DEFAULT NULL
)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_id uuid := coalesce(create_conversation.id, roost.uuid_v7());
    v_others uuid[];
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

    IF create_conversation.workspace_id IS NOT NULL THEN
        PERFORM roost.require_workspace(create_conversation.workspace_id, 'viewer');
    END IF;

    INSERT INTO roost.conversations (
        id, user_id, title, workspace_path, metadata, workspace_id
    )
    VALUES (
        v_id,
        v_user_id,
        create_conversation.title,
        create_conversation.workspace_path,
        create_conversation.metadata,
        create_conversation.workspace_id
    )
    -- The same id sent twice at once, as by a client that timed out and tries again: the second
    -- waits here until the first has committed, and then finds its conversation.
    ON CONFLICT DO NOTHING;

    IF NOT FOUND THEN
        IF NOT EXISTS (
            SELECT FROM roost.conversations AS conversation
            WHERE conversation.id = v_id AND conversation.user_id = v_user_id
        ) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'This id already stands for another conversation.',
                DETAIL = format('Id: %s', v_id),
                HINT = 'Make a new id for a new conversation.';
        END IF;

        RETURN roost.own_conversation(v_id);
    END IF;

    INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
    VALUES (v_id, v_user_id, 'owner');

    INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
    SELECT v_id, other.user_id, 'member'
    FROM unnest(v_others) AS other (user_id);

    PERFORM roost.notify_participants(
        v_id,
        'conversation.added',
        json_build_object(
            'conversation_id', v_id,
            'title', create_conversation.title,
            'added_by', v_user_id
        ),
        0
    );

    RETURN roost.own_conversation(v_id);
END;
$$;

ALTER FUNCTION api.create_conversation(text, uuid[], text, jsonb, uuid, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.create_conversation(text, uuid[], text, jsonb, uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.create_conversation(text, uuid[], text, jsonb, uuid, uuid)
TO roost_user;

COMMENT ON FUNCTION api.create_conversation(text, uuid[], text, jsonb, uuid, uuid) IS
'Opens a conversation. The caller becomes its owner, the others members; each of them gets
conversation.added in their inbox, user:<id>.

Callers: signed-in people.
Arguments: title, at most 200 characters. participants, up to 100 user ids. workspace_path, at
most 4096 characters. metadata, an object of at most 64 KiB. id, a UUID (version 7 is best) made
by the client: sent again it answers the conversation that is there, as it is now. workspace_id,
the workspace that it is about, which those alone see who are in that.
Returns: the conversation, an object.
Errors: RO101, RO201 (no such person or workspace), RO301 (the id is somebody else''s), RO302 (too
many participants), 23514 (a value does not fit).
Example: POST /rpc/create_conversation {"title": "Plans", "participants": ["<user id>"]}';
