-- So that one file is one path on every device: what some system can't keep is refused at once, and
-- not when it arrives there.
CREATE OR REPLACE FUNCTION roost.check_file_path(
    p_path text,
    OUT o_parts text[],
    OUT o_problem text,
    OUT o_cure text
)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 4096;
    c_most_name CONSTANT integer := 255;
    c_most_folders CONSTANT integer := 64;
    -- So that whatever name comes behind them fits too.
    c_most_folder_bytes CONSTANT integer := 3840;
    v_path text;
    v_part text;
BEGIN
    IF coalesce(p_path, '') = '' THEN
        o_problem := 'There is no path.';
        o_cure := 'Send the path of a file or folder within the workspace, such as src/main.py.';
    ELSIF octet_length(p_path) > c_most_bytes
        OR octet_length(normalize(p_path, NFC)) > c_most_bytes
    THEN
        o_problem := 'The path is too long.';
        o_cure := 'Send a path of at most 4096 bytes.';
    ELSIF p_path ~ '^([A-Za-z]:[\\/]|/|\\)' THEN
        o_problem := 'The path is absolute.';
        o_cure := 'Send the path within the workspace, without a drive or a / in front.';
    ELSIF p_path ~ '\\' THEN
        o_problem := 'The path has a backslash.';
        o_cure := 'Put / between folders, and rename what has a \ in its name.';
    ELSIF p_path ~ '[\u0001-\u001f\u007f-\u009f]' THEN
        o_problem := 'The path has a control character.';
        o_cure := 'Rename it without tabs, line ends and other control characters.';
    ELSE
        v_path := normalize(p_path, NFC);
        o_parts := string_to_array(v_path, '/');
    END IF;

    IF cardinality(o_parts) > c_most_folders + 1 THEN
        o_problem := 'The path is too deep.';
        o_cure := 'Send a path of at most 64 folders and a name.';
    ELSIF octet_length(v_path) - octet_length(o_parts[cardinality(o_parts)]) - 1
        > c_most_folder_bytes
    THEN
        o_problem := 'The path of the folder is too long.';
        o_cure := 'Send a folder whose path has at most 3840 bytes.';
    END IF;

    FOREACH v_part IN ARRAY CASE WHEN o_problem IS NULL THEN o_parts ELSE '{}'::text[] END LOOP
        IF v_part = '' THEN
            o_problem := 'The path has an empty part.';
            o_cure := 'Send one / between two names, and none at the end.';
        ELSIF v_part IN ('.', '..') THEN
            o_problem := 'The path has . or .. in it.';
            o_cure := 'Send the path as it is without them.';
        ELSIF octet_length(v_part) > c_most_name THEN
            o_problem := 'A name is too long.';
            o_cure := 'Shorten it to 255 bytes.';
        ELSIF right(v_part, 1) IN ('.', ' ') THEN
            o_problem := 'A name ends with a dot or a space.';
            o_cure := 'Rename it without that: Windows can''t keep it.';
        ELSIF v_part ~* '^(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$) *(\.|$)' THEN
            o_problem := 'A name is reserved on Windows.';
            o_cure := 'Rename it: CON, PRN, AUX, NUL, COM1 and the like are devices there.';
        END IF;

        EXIT WHEN o_problem IS NOT NULL;
    END LOOP;
END;
$$;

REVOKE ALL ON FUNCTION roost.check_file_path(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.check_file_path(text) TO roost_api;

COMMENT ON FUNCTION roost.check_file_path(text) IS
'The names that a path within a workspace is of, composed (NFC), or what is wrong with it and what
to do about that: what some system could not keep.';
