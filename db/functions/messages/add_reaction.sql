CREATE OR REPLACE FUNCTION api.add_reaction(message_id uuid, reaction text)
RETURNS roost.reaction_event
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.set_reaction(add_reaction.message_id, add_reaction.reaction, true);
END;
$$;

ALTER FUNCTION api.add_reaction(uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.add_reaction(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.add_reaction(uuid, text) TO roost_user;

COMMENT ON FUNCTION api.add_reaction(uuid, text) IS
'Reacts to a message. Everybody in the conversation gets reaction on conversation:<id>, which
carries what this answers. Reacting again in the same way changes nothing and tells nobody.

Callers: members, admins and the owner of the conversation.
Arguments: message_id. reaction, an emoji or a name, 1 to 32 characters without spaces. A message
has at most 100 different ones, of which at most 20 are one person''s.
Returns: an object: message_id, conversation_id, seq of the message, user_id, reaction, added (true)
and reactions, the summary that the message has now: a list of reaction, count and user_ids, which
are the first 20.
Errors: RO101, RO201 (no such message), RO202 (viewer), RO203 (archived), RO302 (too many), RO304
(the message was deleted), 23514 (the reaction does not fit).
Example: POST /rpc/add_reaction {"message_id": "<id>", "reaction": "👍"}';
