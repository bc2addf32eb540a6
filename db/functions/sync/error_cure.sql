-- A constraint says itself what to send instead, as the hint of a call would.
CREATE OR REPLACE FUNCTION roost.error_cure(p_code text, p_constraint text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (
            SELECT min(obj_description(c.oid, 'pg_constraint'))
            FROM pg_catalog.pg_constraint AS c
            WHERE c.conname = p_constraint
                AND c.connamespace IN ('roost'::regnamespace, 'realtime'::regnamespace)
        ),
        CASE
            WHEN p_code = '22P02'
                THEN 'Send the value in the form that its type has, such as a UUID or a number.'
            WHEN p_code = '23502' THEN 'Send a value that is not null.'
            WHEN p_code = '23505' THEN 'Make a new id, at random.'
            WHEN p_code = '57014' THEN 'It takes too long: send less at once, under a new id.'
            ELSE 'Send it under a new id in a form that a call of the function would take.'
        END
    );
$$;

REVOKE ALL ON FUNCTION roost.error_cure(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.error_cure(text, text) TO roost_api;

COMMENT ON FUNCTION roost.error_cure(text, text) IS
'What to do about an error that does not say so itself, by its code and constraint.';
