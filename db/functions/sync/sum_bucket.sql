-- Under the policies of whoever asks. What has changed since is not compared: the device has not
-- been told yet.
CREATE OR REPLACE FUNCTION roost.sum_bucket(
    p_scope text,
    p_bucket text,
    p_position bigint,
    p_from_seq bigint,
    OUT things bigint,
    OUT checksum bigint,
    OUT has_changed boolean
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_bucket CONSTANT bigint := 1000;
    v_id uuid := realtime.topic_id(p_scope);
    v_from_seq bigint;
    v_gone_up_to bigint;
BEGIN
    IF p_bucket <> 'others' AND p_scope LIKE 'workspace:%' THEN
        -- By the offsets of their newest changes. One that has changed has left its bucket, so of
        -- which it was is not known.
        SELECT
            count(*),
            coalesce(
                sum(roost.thing_checksum('file', file.id, file.change_seq)), 0
            ) % 4294967296,
            realtime.last_offset(p_scope) > p_position
        INTO things, checksum, has_changed
        FROM roost.file_sync_state AS file
        WHERE file.workspace_id = v_id
            AND file.change_seq >= p_bucket::bigint * c_bucket
            AND file.change_seq < (p_bucket::bigint + 1) * c_bucket
            AND file.deleted_at IS NULL;
    ELSIF p_bucket <> 'others' THEN
        v_from_seq := greatest(p_bucket::bigint * c_bucket, p_from_seq);

        SELECT greatest(participant.history_after_seq, conversation.expired_seq)
        INTO v_gone_up_to
        FROM roost.conversations AS conversation
        JOIN roost.conversation_participants AS participant
            ON participant.conversation_id = conversation.id
            AND participant.user_id = roost.current_user_id()
        WHERE conversation.id = v_id;

        SELECT
            count(*),
            coalesce(
                sum(roost.thing_checksum(
                    'message', message.id, greatest(message.change_seq, message.seq)
                )),
                0
            ) % 4294967296,
            coalesce(bool_or(message.change_seq > p_position), false)
            OR coalesce(v_gone_up_to >= v_from_seq, false)
        INTO things, checksum, has_changed
        FROM roost.messages AS message
        WHERE message.conversation_id = v_id
            AND message.seq >= v_from_seq
            AND message.seq < (p_bucket::bigint + 1) * c_bucket
            AND message.seq <= p_position;
    ELSIF p_scope LIKE 'conversation:%' THEN
        SELECT
            count(*) FILTER (WHERE participant.left_at IS NULL),
            coalesce(
                sum(roost.thing_checksum(
                    'participant', participant.user_id, participant.change_seq
                )) FILTER (WHERE participant.left_at IS NULL),
                0
            ) % 4294967296,
            coalesce(bool_or(participant.change_seq > p_position), false)
        INTO things, checksum, has_changed
        FROM roost.conversation_participants AS participant
        WHERE participant.conversation_id = v_id;
    ELSIF p_scope LIKE 'workspace:%' THEN
        SELECT
            count(*) FILTER (WHERE thing.left_at IS NULL),
            coalesce(
                sum(roost.thing_checksum(thing.kind, thing.id, thing.change_seq))
                FILTER (WHERE thing.left_at IS NULL),
                0
            ) % 4294967296,
            coalesce(bool_or(thing.change_seq > p_position), false)
        INTO things, checksum, has_changed
        FROM (
            SELECT 'workspace' AS kind, own.id, own.change_seq, NULL::timestamptz AS left_at
            FROM roost.own_workspace(v_id) AS own
            UNION ALL
            SELECT 'workspace_member', member.user_id, member.change_seq, member.left_at
            FROM roost.workspace_members AS member
            WHERE member.workspace_id = v_id
        ) AS thing;
    ELSE
        SELECT
            count(*),
            sum(roost.thing_checksum(thing.kind, thing.id, thing.change_seq)) % 4294967296,
            bool_or(thing.change_seq > p_position)
        INTO things, checksum, has_changed
        FROM (
            SELECT 'account' AS kind, account.id, account.change_seq
            FROM roost.users AS account
            WHERE account.id = v_id
            UNION ALL
            SELECT 'device', device.id, device.change_seq
            FROM roost.devices AS device
            WHERE device.user_id = v_id
        ) AS thing;
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.sum_bucket(text, text, bigint, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.sum_bucket(text, text, bigint, bigint) TO roost_api;

COMMENT ON FUNCTION roost.sum_bucket(text, text, bigint, bigint) IS
'How many things a bucket of a scope has for the caller, the sum of their checksums modulo 2^32, and
whether any has changed behind p_position.';
