-- Looked at each time that a rule is asked, and not once: a function can be dropped, replaced or
-- handed over afterwards. It runs with the rights of roost_owner, or with those of its own owner,
-- so it has to belong to somebody who has these rights anyway; else whoever may replace it, or may
-- make one of that name, could do with Roost's tables what they like.
CREATE OR REPLACE FUNCTION realtime.find_rule_problem(p_schema text, p_name text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_rule pg_proc;
BEGIN
    SELECT p.*
    INTO v_rule
    FROM pg_proc AS p
    JOIN pg_namespace AS namespace ON namespace.oid = p.pronamespace
    WHERE p.proname = p_name
        AND p.proargtypes = '25 25'::oidvector
        AND namespace.nspname = p_schema;

    RETURN CASE
        WHEN NOT FOUND THEN 'There is no such function.'
        WHEN v_rule.prokind <> 'f' OR v_rule.proretset OR v_rule.prorettype <> 'boolean'::regtype
            THEN 'It is no function that answers one boolean.'
        WHEN v_rule.provolatile = 'v' THEN 'It is VOLATILE: make it STABLE, it must change nothing.'
        WHEN NOT pg_has_role(v_rule.proowner, 'roost_owner', 'MEMBER')
            THEN 'Its owner is no member of roost_owner: hand it to one who is.'
        WHEN NOT (
            has_schema_privilege('roost_owner', v_rule.pronamespace, 'USAGE')
            AND has_function_privilege('roost_owner', v_rule.oid, 'EXECUTE')
        )
            THEN 'roost_owner may not call it: grant USAGE on its schema, and EXECUTE.'
    END;
END;
$$;

REVOKE ALL ON FUNCTION realtime.find_rule_problem(text, text) FROM PUBLIC;

COMMENT ON FUNCTION realtime.find_rule_problem(text, text) IS
'Why a function, by its schema and name, can''t be the rule of a topic prefix; NULL when it can. For
all of them: SELECT prefix, realtime.find_rule_problem(rule_schema, rule_name) FROM
realtime.topic_prefixes, as roost_owner.';
