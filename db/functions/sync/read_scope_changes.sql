-- Things as they are now, each once, in the order of the offsets at which they last changed:
-- another kind of scope is one more branch. Under the policies of whoever asks. In a conversation
-- those are participants, and messages that the device has: new ones are read by their seq. A page
-- does not end between two that changed with one event, since it goes on behind an offset.
CREATE OR REPLACE FUNCTION roost.read_scope_changes(
    p_scope text,
    p_after bigint,
    p_from_seq bigint,
    p_to_seq bigint,
    p_limit bigint,
    p_bytes bigint
)
RETURNS SETOF roost.scope_change
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What a thing without content takes, about.
    c_small CONSTANT bigint := 400;
    v_id uuid := realtime.topic_id(p_scope);
    -- A device that begins is not left below this, where it would begin again.
    v_least bigint := CASE WHEN p_after < 0 THEN roost.removed_offset(p_scope) ELSE 0 END;
BEGIN
    IF p_scope LIKE 'conversation:%' THEN
        RETURN QUERY
        SELECT
            page.kind, page.op, page.id, page.change_offset, page.seq, page.size, page.value
        FROM (
            SELECT
                changed.*,
                rank() OVER (
                    ORDER BY greatest(changed.change_offset, v_least)
                ) AS place,
                sum(changed.size) OVER (
                    ORDER BY greatest(changed.change_offset, v_least)
                    GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT
                    'participant'::text AS kind,
                    CASE WHEN participant.left_at IS NULL THEN 'put' ELSE 'remove' END AS op,
                    participant.user_id AS id,
                    participant.change_seq AS change_offset,
                    NULL::bigint AS seq,
                    c_small AS size,
                    CASE
                        WHEN participant.left_at IS NULL
                            THEN row_to_json(roost.describe_participant(participant))
                    END AS value
                FROM roost.conversation_participants AS participant
                WHERE participant.conversation_id = v_id
                    AND participant.change_seq > p_after
                    -- Whoever left before is nobody to a device that begins.
                    AND (participant.left_at IS NULL OR p_after >= 0)
                UNION ALL
                SELECT
                    'message',
                    'put',
                    listed.id,
                    listed.change_seq,
                    listed.seq,
                    c_small + roost.message_size(listed),
                    row_to_json(roost.describe_message(listed))
                FROM (
                    SELECT message.*
                    FROM roost.messages AS message
                    WHERE message.conversation_id = v_id
                        AND message.change_seq > message.seq
                        AND message.change_seq > p_after
                        -- Not by the index of seq, which has all of them.
                        AND (message.seq BETWEEN p_from_seq AND p_to_seq) IS TRUE
                    ORDER BY message.change_seq
                    LIMIT p_limit
                ) AS listed
            ) AS changed
        ) AS page
        WHERE page.place <= p_limit
            AND (page.bytes_before IS NULL OR page.bytes_before < p_bytes)
        ORDER BY page.change_offset, page.kind;
    ELSIF p_scope LIKE 'workspace:%' THEN
        RETURN QUERY
        SELECT
            page.kind, page.op, page.id, page.change_offset, page.seq, page.size, page.value
        FROM (
            SELECT
                changed.*,
                rank() OVER (
                    ORDER BY greatest(changed.change_offset, v_least)
                ) AS place,
                sum(changed.size) OVER (
                    ORDER BY greatest(changed.change_offset, v_least)
                    GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT
                    'workspace'::text AS kind,
                    'put'::text AS op,
                    (own.workspace).id AS id,
                    (own.workspace).change_seq AS change_offset,
                    NULL::bigint AS seq,
                    c_small + octet_length((own.workspace).settings::text) AS size,
                    row_to_json(own.workspace) AS value
                FROM (SELECT roost.own_workspace(v_id) AS workspace) AS own
                -- A device that begins has got it first of all.
                WHERE (own.workspace).change_seq > p_after AND p_after >= 0
                UNION ALL
                SELECT
                    'workspace_member',
                    CASE WHEN listed.left_at IS NULL THEN 'put' ELSE 'remove' END,
                    listed.user_id,
                    listed.change_seq,
                    NULL,
                    c_small,
                    CASE
                        WHEN listed.left_at IS NULL
                            THEN row_to_json(roost.describe_workspace_member(listed))
                    END
                FROM (
                    SELECT member.*
                    FROM roost.workspace_members AS member
                    WHERE member.workspace_id = v_id
                        AND member.change_seq > p_after
                        -- Whoever left before is nobody to a device that begins.
                        AND (member.left_at IS NULL OR p_after >= 0)
                    ORDER BY member.change_seq
                    LIMIT p_limit + CASE
                        WHEN v_least > 0 THEN (
                            SELECT count(*)
                            FROM roost.workspace_members AS counted
                            WHERE counted.workspace_id = v_id AND counted.change_seq <= v_least
                        )
                        ELSE 0
                    END
                ) AS listed
                UNION ALL
                -- Also what is in deleted folders, which then is there when these come back. Where
                -- it is the device finds by parent_id: a path changes with each folder above.
                SELECT
                    'file',
                    CASE WHEN listed.deleted_at IS NULL THEN 'put' ELSE 'remove' END,
                    listed.id,
                    listed.change_seq,
                    NULL,
                    c_small + octet_length(listed.metadata::text),
                    CASE
                        WHEN listed.deleted_at IS NULL
                            THEN row_to_json(roost.describe_file(listed, NULL))
                    END
                FROM (
                    SELECT file.*
                    FROM roost.file_sync_state AS file
                    WHERE file.workspace_id = v_id
                        AND file.change_seq > p_after
                        -- What was deleted before is nothing to a device that begins.
                        AND (file.deleted_at IS NULL OR p_after >= 0)
                    ORDER BY file.change_seq
                    LIMIT p_limit
                ) AS listed
            ) AS changed
        ) AS page
        WHERE page.place <= p_limit
            AND (page.bytes_before IS NULL OR page.bytes_before < p_bytes)
        ORDER BY page.change_offset, page.kind;
    ELSE
        RETURN QUERY
        SELECT
            changed.kind, changed.op, changed.id, changed.change_offset, changed.seq, changed.size,
            changed.value
        FROM (
            SELECT
                'account'::text AS kind,
                'put'::text AS op,
                account.id,
                account.change_seq AS change_offset,
                NULL::bigint AS seq,
                c_small AS size,
                row_to_json(roost.describe_account(account)) AS value
            FROM roost.users AS account
            WHERE account.id = v_id AND account.change_seq > p_after
            UNION ALL
            SELECT
                'device',
                'put',
                device.id,
                device.change_seq,
                NULL,
                c_small,
                row_to_json(roost.describe_device(device))
            FROM roost.devices AS device
            WHERE device.user_id = v_id AND device.change_seq > p_after
        ) AS changed
        ORDER BY changed.change_offset, changed.kind, changed.id;
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.read_scope_changes(text, bigint, bigint, bigint, bigint, bigint)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.read_scope_changes(text, bigint, bigint, bigint, bigint, bigint)
TO roost_api;

COMMENT ON FUNCTION roost.read_scope_changes(text, bigint, bigint, bigint, bigint, bigint) IS
'Things of a scope that changed after an offset, in its order, about p_limit of them and p_bytes: of
a conversation, participants and messages with a seq from p_from_seq to p_to_seq; of a workspace,
itself, unless p_after is before the beginning, its members and files; of an inbox, all of them,
which are few.';
