-- Compatibility forms become plain ones, capitals small, accents go; what is put together again at
-- the end is Hangul, and kana with their voicing marks. Nothing here depends on the locale but
-- lower(), which knows no letters beyond ASCII where the database's locale is C.
CREATE OR REPLACE FUNCTION roost.fold_text(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(p_text) = char_length(p_text) THEN
        RETURN lower(p_text);
    END IF;

    RETURN normalize(
        replace(replace(replace(replace(
            translate(
                regexp_replace(lower(normalize(p_text, NFKD)), '[\u0300-\u036f]+', '', 'g'),
                'øłđðħıŧ',
                'olddhit'
            ),
            'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'),
        NFC
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.fold_text(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.fold_text(text) TO roost_api;

COMMENT ON FUNCTION roost.fold_text(text) IS
'Text without case and accents: Crème Brûlée becomes creme brulee, straße strasse.';
