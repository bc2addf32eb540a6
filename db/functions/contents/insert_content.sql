CREATE OR REPLACE FUNCTION roost.insert_content(
    p_workspace_id uuid,
    p_owner_id uuid,
    p_hash bytea,
    p_size bigint,
    OUT content_id uuid,
    OUT is_new boolean
)
RETURNS record
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- First, as for whoever finishes an upload: the trigger takes it behind the content.
    PERFORM roost.lock_storage(p_owner_id);

    LOOP
        INSERT INTO roost.file_contents (workspace_id, owner_id, hash, size)
        VALUES (p_workspace_id, p_owner_id, p_hash, p_size)
        ON CONFLICT ON CONSTRAINT file_contents_workspace_id_hash_key DO NOTHING
        RETURNING file_contents.id INTO content_id;

        is_new := FOUND;
        EXIT WHEN is_new;

        -- It stays to the end of the transaction, which refers to it.
        SELECT content.id
        INTO content_id
        FROM roost.file_contents AS content
        WHERE content.workspace_id = p_workspace_id AND content.hash = p_hash
        FOR KEY SHARE;

        EXIT WHEN FOUND;
    END LOOP;
END;
$$;

REVOKE ALL ON FUNCTION roost.insert_content(uuid, uuid, bytea, bigint) FROM PUBLIC;

COMMENT ON FUNCTION roost.insert_content(uuid, uuid, bytea, bigint) IS
'The content of a workspace with this hash, made where there is none; then its chunks are the
caller''s to list. Errors: RO701.';
