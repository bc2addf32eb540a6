CREATE OR REPLACE FUNCTION api.remove_reaction(message_id uuid, reaction text)
RETURNS roost.reaction_event
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN roost.set_reaction(remove_reaction.message_id, remove_reaction.reaction, false);
END;
$$;

ALTER FUNCTION api.remove_reaction(uuid, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.remove_reaction(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.remove_reaction(uuid, text) TO roost_user;

COMMENT ON FUNCTION api.remove_reaction(uuid, text) IS
'Takes back a reaction of the caller. Everybody in the conversation gets reaction on
conversation:<id>, which carries what this answers. Where there is none, nothing changes and nobody
is told.

Callers: members, admins and the owner of the conversation.
Arguments: message_id. reaction, as it was given.
Returns: an object, as add_reaction; added is false.
Errors: RO101, RO201 (no such message), RO202 (viewer), RO203 (archived), RO304 (the message was
deleted).
Example: POST /rpc/remove_reaction {"message_id": "<id>", "reaction": "👍"}';
