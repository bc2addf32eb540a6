CREATE OR REPLACE FUNCTION roost.name_conflict_copy(
    p_workspace_id uuid,
    p_container_id uuid,
    p_name text
)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_most_bytes CONSTANT integer := 255;
    c_most_device CONSTANT integer := 40;
    v_device text;
    v_stem text := regexp_replace(p_name, '(?<=.)\.[^.]*$', '');
    v_extension text := substr(p_name, char_length(v_stem) + 1);
    v_suffix text;
    v_name text;
    v_count integer := 1;
BEGIN
    SELECT normalize(device.device_name, NFC)
    INTO v_device
    FROM roost.devices AS device
    WHERE device.id = roost.current_device_id();

    v_device := btrim(regexp_replace(v_device, '[ /\\\u0001-\u001f\u007f-\u009f]+', ' ', 'g'));
    v_device := left(coalesce(nullif(v_device, ''), 'another device'), c_most_device);

    -- Hardly an extension.
    IF octet_length(v_extension) > 32 THEN
        v_stem := p_name;
        v_extension := '';
    END IF;

    LOOP
        v_suffix := format(
            ' (conflict %s %s%s)%s',
            v_device,
            to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24MI'),
            CASE WHEN v_count > 1 THEN format(' %s', v_count) END,
            v_extension
        );

        WHILE octet_length(v_stem) + octet_length(v_suffix) > c_most_bytes LOOP
            v_stem := left(v_stem, -1);
        END LOOP;

        v_name := normalize(v_stem || v_suffix, NFC);
        EXIT WHEN NOT EXISTS (
            SELECT FROM roost.file_sync_state AS file
            WHERE file.workspace_id = p_workspace_id
                AND file.container_id = p_container_id
                AND file.name_key = roost.fold_name(v_name)
                AND file.deleted_at IS NULL
        );
        v_count := v_count + 1;
    END LOOP;

    RETURN v_name;
END;
$$;

REVOKE ALL ON FUNCTION roost.name_conflict_copy(uuid, uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.name_conflict_copy(uuid, uuid, text) TO roost_api;

COMMENT ON FUNCTION roost.name_conflict_copy(uuid, uuid, text) IS
'What a copy of a file is named that keeps beside it what the calling device has made of it: after
the device and the time (UTC). To be called under roost.lock_workspace.';
