CREATE OR REPLACE FUNCTION api.transfer_ownership(conversation_id uuid, user_id uuid)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_new_owner roost.conversation_participants;
BEGIN
    PERFORM roost.lock_conversation(transfer_ownership.conversation_id, 'conversation.transfer');

    v_new_owner := roost.require_participant(
        transfer_ownership.conversation_id, transfer_ownership.user_id
    );

    IF v_new_owner.role <> 'owner' THEN
        PERFORM roost.require_active_users(ARRAY[transfer_ownership.user_id]);

        -- First what the caller may do as the owner, then both roles at once.
        UPDATE roost.conversations AS conversation
        SET user_id = transfer_ownership.user_id
        WHERE conversation.id = transfer_ownership.conversation_id;

        UPDATE roost.conversation_participants AS participant
        SET role = CASE participant.user_id WHEN v_user_id THEN 'admin' ELSE 'owner' END
            ::roost.participant_role
        WHERE participant.conversation_id = transfer_ownership.conversation_id
            AND participant.user_id IN (v_user_id, transfer_ownership.user_id);

        PERFORM roost.publish_participant(changed.participant, 'participant.updated')
        FROM (
            SELECT participant
            FROM roost.conversation_participants AS participant
            WHERE participant.conversation_id = transfer_ownership.conversation_id
                AND participant.user_id IN (v_user_id, transfer_ownership.user_id)
            ORDER BY participant.role
        ) AS changed;
        PERFORM roost.publish_conversation(conversation, 'conversation.updated')
        FROM roost.conversations AS conversation
        WHERE conversation.id = transfer_ownership.conversation_id;
    END IF;

    RETURN roost.own_conversation(transfer_ownership.conversation_id);
END;
$$;

ALTER FUNCTION api.transfer_ownership(uuid, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.transfer_ownership(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.transfer_ownership(uuid, uuid) TO roost_user;

COMMENT ON FUNCTION api.transfer_ownership(uuid, uuid) IS
'Makes another participant the owner of a conversation; the old owner stays as an admin. Everybody
in it gets participant.updated for both, the old owner first, and conversation.updated. Handing it
to whoever owns it changes nothing and answers the same.

Callers: the owner of the conversation.
Arguments: conversation_id. user_id, a participant with an active account.
Returns: the conversation, an object, in which the caller is an admin now.
Errors: RO101, RO201 (not your conversation, or the person does not take part), RO202 (role too
low).
Example: POST /rpc/transfer_ownership {"conversation_id": "<id>", "user_id": "<id>"}';
