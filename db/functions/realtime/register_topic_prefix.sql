CREATE OR REPLACE FUNCTION realtime.register_topic_prefix(p_prefix text, p_rule regprocedure)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_schema text;
    v_name text;
    v_problem text;
BEGIN
    SELECT namespace.nspname, p.proname
    INTO v_schema, v_name
    FROM pg_proc AS p
    JOIN pg_namespace AS namespace ON namespace.oid = p.pronamespace
    WHERE p.oid = p_rule;

    v_problem := realtime.find_rule_problem(v_schema, v_name);

    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'This function can''t be the rule of a topic prefix.',
            DETAIL = format('Rule: %s. %s', p_rule, v_problem),
            HINT = 'Register one like: CREATE FUNCTION board.may_use(topic text, action text)'
                ' RETURNS boolean STABLE.';
    END IF;

    INSERT INTO realtime.topic_prefixes AS prefix (prefix, rule_schema, rule_name)
    VALUES (p_prefix, v_schema, v_name)
    ON CONFLICT ON CONSTRAINT topic_prefixes_pkey
    DO UPDATE SET rule_schema = excluded.rule_schema, rule_name = excluded.rule_name;
END;
$$;

REVOKE ALL ON FUNCTION realtime.register_topic_prefix(text, regprocedure) FROM PUBLIC;

COMMENT ON FUNCTION realtime.register_topic_prefix(text, regprocedure) IS
'Lets people use topics <prefix>:<name> as a rule says, a function (topic text, action text) RETURNS
boolean that is asked as the caller whenever somebody wants to join, publish or broadcast; these
three are the actions. It runs as roost_owner, unless it is SECURITY DEFINER, with the search_path
pg_catalog, pg_temp, unless it sets one. When it answers NULL, fails or is gone, that is a no. Again
with another rule replaces the rule. For roost_owner. Errors: RO302 (the function can''t be a rule),
23514 (no proper prefix, or one of Roost''s own).';
