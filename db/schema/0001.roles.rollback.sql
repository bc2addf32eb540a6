-- A role stays where another database of the same cluster still has something of Roost.
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY[
        'roost_gateway', 'roost_service', 'roost_user', 'roost_anon', 'roost_api', 'roost_owner'
    ]
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP ROLE IF EXISTS %I', v_role);
        EXCEPTION
            WHEN dependent_objects_still_exist THEN
                RAISE NOTICE 'role % is kept: another database uses it', v_role;
        END;
    END LOOP;
END;
$$;
