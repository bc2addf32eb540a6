CREATE OR REPLACE FUNCTION roost.append_upload(
    p_upload_id uuid,
    p_from_byte bigint,
    p_hashes bytea[],
    p_sizes integer[],
    p_bytes bytea,
    p_tail bytea,
    p_tells boolean
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_lives CONSTANT interval := '24 hours'::interval;
    v_upload roost.uploads := roost.find_upload(p_upload_id);
    v_begins bigint;
    v_received bigint;
BEGIN
    IF v_upload.received <> p_from_byte THEN
        PERFORM roost.refuse_offset(p_upload_id, p_from_byte);
    END IF;

    v_begins := p_from_byte - octet_length(v_upload.tail);
    v_received := v_begins + octet_length(p_bytes) + octet_length(p_tail);

    IF v_upload.length IS NULL THEN
        PERFORM roost.require_file_size(v_upload.owner_id, v_received);
    END IF;

    -- Of two that write at the same place one waits here, and finds that it has moved.
    UPDATE roost.uploads AS upload
    SET received = v_received,
        tail = p_tail,
        reserved = CASE WHEN upload.length IS NULL THEN v_received ELSE upload.reserved END,
        expires_at = now() + c_lives
    WHERE upload.id = p_upload_id AND upload.received = p_from_byte AND upload.kind <> 'final';

    IF NOT FOUND THEN
        PERFORM roost.refuse_offset(p_upload_id, p_from_byte);
    END IF;

    PERFORM roost.keep_chunks(p_hashes, p_sizes, p_bytes);

    INSERT INTO roost.upload_chunks (upload_id, from_byte, size, chunk_hash)
    SELECT
        p_upload_id,
        v_begins + sum(listed.size) OVER (ORDER BY listed.place) - listed.size,
        listed.size,
        listed.hash
    FROM unnest(p_hashes, p_sizes) WITH ORDINALITY AS listed (hash, size, place);

    IF p_tells AND v_upload.workspace_id IS NOT NULL THEN
        PERFORM realtime.broadcast(
            format('workspace:%s', v_upload.workspace_id),
            'upload.progress',
            json_build_object(
                'upload_id', v_upload.id,
                'path', v_upload.path,
                'received', v_received,
                'length', v_upload.length,
                'user_id', v_upload.user_id,
                'device_id', v_upload.device_id
            )
        );
    END IF;

    RETURN v_received;
END;
$$;

REVOKE ALL ON FUNCTION roost.append_upload(uuid, bigint, bytea[], integer[], bytea, bytea, boolean)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    roost.append_upload(uuid, bigint, bytea[], integer[], bytea, bytea, boolean)
TO roost_user;

COMMENT ON FUNCTION roost.append_upload(uuid, bigint, bytea[], integer[], bytea, bytea, boolean) IS
'Appends bytes to an upload of the caller''s and answers how many there are now. p_from_byte is
what had arrived before; p_bytes begins with what was the tail then, and is cut into p_sizes,
each with its SHA-256 in p_hashes; p_tail is what remains. p_tells has the progress broadcast.
Errors: RO101, RO201, RO202, RO701, RO702, RO703 (it is not at p_from_byte).';
