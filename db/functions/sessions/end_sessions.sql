CREATE OR REPLACE FUNCTION roost.end_sessions(p_session_id uuid, p_scope text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.begin_call('user', p_session_id);

    CASE p_scope
        WHEN 'local' THEN
            UPDATE roost.sessions AS session
            SET revoked_at = coalesce(session.revoked_at, now())
            WHERE session.id = p_session_id;
        WHEN 'others' THEN
            PERFORM roost.revoke_sessions(roost.current_user_id(), p_except => p_session_id);
        WHEN 'global' THEN
            PERFORM roost.revoke_sessions(roost.current_user_id());
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = 'RO302',
                MESSAGE = 'There is no such scope.',
                DETAIL = format('scope: %s', p_scope),
                HINT = 'Send local, others or global.';
    END CASE;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_sessions(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.end_sessions(uuid, text) TO roost_gateway;

COMMENT ON FUNCTION roost.end_sessions(uuid, text) IS
'Signs out: the session itself (local), the person''s other ones (others) or all (global). Errors:
RO102, RO103, RO302 (scope).';
