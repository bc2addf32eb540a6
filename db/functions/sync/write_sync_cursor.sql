CREATE OR REPLACE FUNCTION roost.write_sync_cursor(p_scopes jsonb, p_progress json)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT translate(
        encode(
            convert_to(
                jsonb_build_object(
                    'version', 1,
                    'device', roost.current_device_id(),
                    'epoch', realtime.get_epoch(),
                    'generation', roost.sync_generation(),
                    'scopes', p_scopes,
                    'progress', p_progress
                )::text,
                'UTF8'
            ),
            'base64'
        ),
        E'+/=\n',
        '-_'
    );
$$;

REVOKE ALL ON FUNCTION roost.write_sync_cursor(jsonb, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.write_sync_cursor(jsonb, json) TO roost_api;

COMMENT ON FUNCTION roost.write_sync_cursor(jsonb, json) IS
'The cursor of a page of pull_changes: {"<scope>": [position, from_seq, to_seq, held_count,
is_anew]} of those that have moved since the acknowledgement, null for one that is gone; is_anew is
1 where it began anew behind that. And how far the page has come.';
