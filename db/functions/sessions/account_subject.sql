-- A digest, so that what people mistype into the address field is not kept. STABLE: what is upper
-- case is up to the database's locale, as it is for citext.
CREATE OR REPLACE FUNCTION roost.account_subject(p_email text)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'account:' || encode(sha256(convert_to(lower(p_email), 'UTF8')), 'hex');
$$;

REVOKE ALL ON FUNCTION roost.account_subject(text) FROM PUBLIC;

COMMENT ON FUNCTION roost.account_subject(text) IS
'Under what the failed sign-ins of an e-mail address are counted, with an account or without.';
