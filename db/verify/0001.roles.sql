-- Fails where whoever deploys is no member.
SET LOCAL ROLE roost_owner;

DO $$
DECLARE
    v_missing text;
BEGIN
    SELECT pg_catalog.string_agg(pg_catalog.concat(wanted.member, ' in ', wanted.role), ', ')
    INTO v_missing
    FROM (
        VALUES
            ('roost_api', 'roost_owner'),
            ('roost_anon', 'roost_gateway'),
            ('roost_user', 'roost_gateway'),
            ('roost_service', 'roost_gateway')
    ) AS wanted (role, member)
    WHERE to_regrole(wanted.role) IS NULL
        OR to_regrole(wanted.member) IS NULL
        OR NOT pg_catalog.pg_has_role(to_regrole(wanted.member), to_regrole(wanted.role), 'MEMBER');

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('Missing: %s', v_missing);
    END IF;
END;
$$;

-- What is made from here on is closed to others by default: f are functions, T types.
DO $$
DECLARE
    v_open text;
BEGIN
    SELECT pg_catalog.string_agg(pg_catalog.concat(wanted.role, ' ', wanted.kind), ', ')
    INTO v_open
    FROM (
        VALUES
            ('roost_owner', 'f'), ('roost_owner', 'T'), ('roost_api', 'f'), ('roost_api', 'T')
    ) AS wanted (role, kind)
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_default_acl AS acl
        WHERE acl.defaclrole = to_regrole(wanted.role)
            AND acl.defaclnamespace = 0
            AND acl.defaclobjtype = wanted.kind::"char"
            AND NOT EXISTS (
                SELECT FROM aclexplode(acl.defaclacl) AS granted WHERE granted.grantee = 0
            )
    );

    IF v_open IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_grant_operation',
            MESSAGE = pg_catalog.format('Open to everybody by default: %s', v_open);
    END IF;
END;
$$;
