-- Whatever is wrong with a rule, the answer is no: it is somebody else's code, and who asks is not
-- who can mend it. The log of the database server says what it was. A cancelled call stays
-- cancelled.
CREATE OR REPLACE FUNCTION realtime.is_permitted(p_topic text, p_action text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
    v_prefix realtime.topic_prefixes;
    v_problem text;
    v_permitted boolean;
BEGIN
    IF v_user_id IS NULL
        OR (p_topic ~ '^[a-z][a-z0-9_-]*:[^[:cntrl:]]{1,200}$') IS NOT TRUE
    THEN
        RETURN false;
    ELSIF split_part(p_topic, ':', 1) = 'app' THEN
        RETURN split_part(p_topic, ':', 2) = v_user_id::text
            AND substr(p_topic, 42) ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/@-]{0,99}$';
    END IF;

    SELECT prefix.*
    INTO v_prefix
    FROM realtime.topic_prefixes AS prefix
    WHERE prefix.prefix = split_part(p_topic, ':', 1);

    IF NOT FOUND THEN
        RETURN false;
    END IF;

    v_problem := realtime.find_rule_problem(v_prefix.rule_schema, v_prefix.rule_name);

    IF v_problem IS NULL THEN
        BEGIN
            EXECUTE format('SELECT %I.%I($1, $2)', v_prefix.rule_schema, v_prefix.rule_name)
            INTO v_permitted
            USING p_topic, p_action;
        EXCEPTION
            WHEN OTHERS THEN
                v_problem := format('It fails with %s: %s', SQLSTATE, SQLERRM);
        END;
    END IF;

    IF v_problem IS NOT NULL THEN
        RAISE LOG USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'The rule of a topic prefix can''t be asked: nobody is let in.',
            DETAIL = format(
                'Prefix: %s; rule: %I.%I(text, text). %s',
                v_prefix.prefix,
                v_prefix.rule_schema,
                v_prefix.rule_name,
                v_problem
            ),
            HINT = 'Mend the function, or register another one.';
    END IF;

    RETURN coalesce(v_permitted, false);
END;
$$;

REVOKE ALL ON FUNCTION realtime.is_permitted(text, text) FROM PUBLIC;

COMMENT ON FUNCTION realtime.is_permitted(text, text) IS
'Whether the caller may do something (join, publish, broadcast) in an application topic: everything
in app:<their user id>:<name>; in a topic whose prefix is registered what its rule says.';
