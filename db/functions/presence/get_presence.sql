CREATE OR REPLACE FUNCTION api.get_presence(user_ids uuid[])
RETURNS SETOF roost.presence
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most CONSTANT integer := 200;
BEGIN
    PERFORM roost.require_user();

    IF cardinality(get_presence.user_ids) > c_most OR get_presence.user_ids IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The list of people is too long, or missing.',
            DETAIL = format(
                'People: %s', coalesce(cardinality(get_presence.user_ids)::text, 'none')
            ),
            HINT = format('Send user_ids with at most %s ids.', c_most);
    END IF;

    RETURN QUERY
    SELECT presence.*
    FROM roost.read_presence(get_presence.user_ids) AS presence;
END;
$$;

ALTER FUNCTION api.get_presence(uuid[]) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_presence(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_presence(uuid[]) TO roost_user;

COMMENT ON FUNCTION api.get_presence(uuid[]) IS
'Answers whether people are there, and since when they are not, merged from their devices. Those who
share no conversation with the caller are left out, as are ids that nobody has.

Callers: signed-in people.
Arguments: user_ids, at most 200; the caller''s own may be among them.
Returns: a list of user_id, status (online, idle, busy, offline), activity, last_seen (at most half
a minute behind for somebody who is there) and devices, in order of user_id. devices is null for
other people; for the caller at most 100 objects: device_id, status, activity, connected, last_seen.
Errors: RO101, RO302 (more than 200).
Example: POST /rpc/get_presence {"user_ids": ["<id>"]}';
