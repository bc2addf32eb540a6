CREATE OR REPLACE FUNCTION api.compare_file_versions(
    file_id uuid,
    from_version bigint,
    to_version bigint
)
RETURNS roost.file_comparison
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 1048576;
    v_file roost.file := roost.require_file(compare_file_versions.file_id, true);
    v_from roost.file_versions := roost.require_file_version(
        v_file.id, compare_file_versions.from_version
    );
    v_to roost.file_versions := roost.require_file_version(
        v_file.id, compare_file_versions.to_version
    );
    v_old text := roost.read_content_text(v_from.content_id, c_most_bytes);
    v_new text := roost.read_content_text(v_to.content_id, c_most_bytes);
    v_compared roost.file_comparison;
BEGIN
    v_compared.file_id := v_file.id;
    v_compared.from_version := v_from.version;
    v_compared.to_version := v_to.version;
    v_compared.is_same := v_from.hash = v_to.hash;
    v_compared.is_text := v_old IS NOT NULL AND v_new IS NOT NULL;

    IF v_compared.is_text THEN
        v_compared.hunks := roost.compare_text(v_old, v_new);
    END IF;

    RETURN v_compared;
END;
$$;

ALTER FUNCTION api.compare_file_versions(uuid, bigint, bigint) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.compare_file_versions(uuid, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.compare_file_versions(uuid, bigint, bigint) TO roost_user;

COMMENT ON FUNCTION api.compare_file_versions(uuid, bigint, bigint) IS
'Compares two versions of a file, of text line by line.

Callers: members of the workspace.
Arguments: file_id. from_version and to_version, from list_file_versions.
Returns: an object: file_id, from_version, to_version, is_same, is_text, and hunks, a list of the
places that differ: from_line and to_line, the first line in either, from 1, and removed and
added, lists of lines. Where one is no UTF-8 or has more than 1 MiB, is_text is false and hunks
null.
Errors: RO101, RO201 (no such file or version).
Example: POST /rpc/compare_file_versions {"file_id": "<id>", "from_version": 1, "to_version": 3}';
