CREATE OR REPLACE FUNCTION api.set_message_embedding(
    message_id uuid,
    model text,
    embedding real[],
    based_on_version bigint DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_message roost.messages;
BEGIN
    v_message := roost.require_message(set_message_embedding.message_id);
    PERFORM roost.require_vectors();

    -- Nobody edits or deletes the message meanwhile. But a model takes its time: the message may
    -- have been edited before, which took the embeddings of the old text away.
    PERFORM roost.lock_conversation(v_message.conversation_id, 'message.send');
    v_message := roost.require_message(set_message_embedding.message_id);

    IF v_message.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO304',
            MESSAGE = 'The message was deleted.',
            DETAIL = format('Message: %s', set_message_embedding.message_id),
            HINT = 'Send the embedding after the message has been restored.';
    ELSIF v_message.version <> set_message_embedding.based_on_version THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO303',
            MESSAGE = 'The message was changed since the version that was embedded.',
            DETAIL = row_to_json(roost.describe_message(v_message))::text,
            HINT = 'Embed the message that details has, and send that, based on its version.';
    END IF;

    INSERT INTO roost.message_embeddings AS embedded (message_id, model, embedding)
    VALUES (
        set_message_embedding.message_id,
        set_message_embedding.model,
        set_message_embedding.embedding
    )
    ON CONFLICT ON CONSTRAINT message_embeddings_pkey
    DO UPDATE SET embedding = excluded.embedding, created_at = now();
END;
$$;

ALTER FUNCTION api.set_message_embedding(uuid, text, real[], bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.set_message_embedding(uuid, text, real[], bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.set_message_embedding(uuid, text, real[], bigint) TO roost_user;

COMMENT ON FUNCTION api.set_message_embedding(uuid, text, real[], bigint) IS
'Says what a message means, as the client''s model has it, so that search_messages finds it by that.
The last one that was sent counts. It goes when the message is edited or deleted; with
based_on_version, one that was made before an edit does not come after it.

Callers: members, admins and the owner of the conversation.
Arguments: message_id. model, the name of the model. embedding, a list of at most 4096 numbers.
based_on_version, the version of the message that it was made from; null says nothing of it.
Returns: nothing.
Errors: RO101, RO201 (no such message), RO202 (viewer), RO203 (archived), RO303 (it has another
version by now; details is the message as it is, as JSON), RO304 (deleted), RO501 (the database
can''t search by meaning), 23514 (no such model name, or no embedding).
Example: POST /rpc/set_message_embedding {"message_id": "<id>", "model": "m", "embedding": [0.1],
"based_on_version": 1}';
