-- One conversation after another, each under its lock. One that somebody is writing to is left to
-- the next call, so that neither waits: not this for a writer, nor for a second server that does
-- the same. One in which it fails is left as well, and keeps no other waiting: a row that somebody
-- holds for long costs it lock_timeout, more than the time that there is, so what failures took is
-- given back. For some of them: nobody writes to what they have locked until the end. Then the rest
-- waits for the next round, and other jobs for none. Of messages that were changed many times,
-- events and history go first, as many a call as there is time for.
CREATE OR REPLACE FUNCTION roost.expire_messages(p_limit integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    c_piece CONSTANT integer := 100;
    c_lost CONSTANT interval := '3 seconds'::interval;
    v_until timestamptz := clock_timestamp() + interval '0.5 seconds';
    v_given_up timestamptz := v_until + c_lost;
    v_begun timestamptz;
    v_left bigint := p_limit;
    v_conversation_id uuid := '00000000-0000-0000-0000-000000000000'::uuid;
    v_expired_before timestamptz;
    v_up_to_seq bigint;
    v_number bigint;
    v_count bigint;
    v_left_count bigint;
    v_passed uuid[] := ARRAY[]::uuid[];
BEGIN
    LOOP
        -- The one before again, for as long as it has something.
        SELECT conversation.id, now() - conversation.retention_days * interval '1 day'
        INTO v_conversation_id, v_expired_before
        FROM roost.conversations AS conversation
        WHERE conversation.id >= v_conversation_id
            AND conversation.id <> ALL (v_passed)
            AND conversation.retention_days IS NOT NULL
            AND conversation.purged_at IS NULL
            AND (
                SELECT message.created_at
                FROM roost.messages AS message
                WHERE message.conversation_id = conversation.id
                ORDER BY message.seq
                LIMIT 1
            ) < now() - conversation.retention_days * interval '1 day'
        ORDER BY conversation.id
        LIMIT 1
        FOR NO KEY UPDATE OF conversation SKIP LOCKED;

        EXIT WHEN NOT FOUND;

        IF v_left <= 0 OR clock_timestamp() > v_until THEN
            RETURN p_limit;
        END IF;

        v_begun := clock_timestamp();

        BEGIN
            -- The oldest, up to the first that is to stay. None, if between search and lock another
            -- server did it.
            SELECT max(aged.seq), max(aged.number), count(*)
            INTO v_up_to_seq, v_number, v_count
            FROM (
                SELECT
                    oldest.seq,
                    oldest.number,
                    bool_and(oldest.created_at < v_expired_before) OVER (ORDER BY oldest.seq)
                        AS is_due
                FROM (
                    SELECT message.seq, message.number, message.created_at
                    FROM roost.messages AS message
                    WHERE message.conversation_id = v_conversation_id
                    ORDER BY message.seq
                    LIMIT v_left
                ) AS oldest
            ) AS aged
            WHERE aged.is_due;

            CONTINUE WHEN v_count = 0;

            IF NOT roost.redact_gone(
                v_conversation_id,
                ARRAY(
                    SELECT roost.describe_gone(message)
                    FROM roost.messages AS message
                    WHERE message.conversation_id = v_conversation_id
                        AND message.seq <= v_up_to_seq
                ),
                v_until
            ) THEN
                RETURN p_limit;
            END IF;

            -- Its newest change stays as long as the message, which may yet be restored.
            LOOP
                DELETE FROM roost.message_changes AS change
                WHERE change.conversation_id = v_conversation_id
                    AND change.seq = ANY (ARRAY(
                        SELECT older.seq
                        FROM roost.messages AS message
                        JOIN roost.message_changes AS older
                            ON older.message_id = message.id AND older.version < message.version
                        WHERE message.conversation_id = v_conversation_id
                            AND message.seq <= v_up_to_seq
                        LIMIT c_piece
                    ));

                EXIT WHEN NOT FOUND;

                IF clock_timestamp() > v_until THEN
                    RETURN p_limit;
                END IF;
            END LOOP;

            -- Before they go, so that roost.announce_gone_messages says nothing of them.
            UPDATE roost.conversations AS conversation
            SET expired_number = greatest(conversation.expired_number, v_number),
                expired_seq = greatest(conversation.expired_seq, v_up_to_seq)
            WHERE conversation.id = v_conversation_id
            RETURNING conversation.last_number - conversation.expired_number
            INTO STRICT v_left_count;

            DELETE FROM roost.messages AS message
            WHERE message.conversation_id = v_conversation_id AND message.seq <= v_up_to_seq;

            PERFORM realtime.publish(
                format('conversation:%s', v_conversation_id),
                'message.expired',
                json_build_object(
                    'conversation_id', v_conversation_id,
                    'up_to_seq', v_up_to_seq,
                    'left_count', v_left_count
                )
            );

            v_left := v_left - v_count;
        EXCEPTION
            WHEN OTHERS THEN
                v_passed := v_passed || v_conversation_id;
                v_until := v_until + (clock_timestamp() - v_begun);

                RAISE WARNING USING
                    MESSAGE = 'The messages of a conversation do not expire.',
                    DETAIL = format(
                        'Conversation: %s; %s: %s', v_conversation_id, SQLSTATE, SQLERRM
                    ),
                    HINT = 'Remove what the error tells of; it is tried again.';

                IF v_until > v_given_up THEN
                    RETURN 0;
                END IF;
        END;
    END LOOP;

    RETURN 0;
END;
$$;

REVOKE ALL ON FUNCTION roost.expire_messages(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.expire_messages(integer) TO roost_gateway;

COMMENT ON FUNCTION roost.expire_messages(integer) IS
'Deletes, for good, messages that are older than their conversation keeps them, p_limit at most,
oldest first, and tells each conversation with message.expired: up to which seq, and how many are
left. Works for about half a second, and warns of conversations in which it failed; what those took
is added, up to 3 seconds. Answers 0 when nothing more is to be done now, else more: call it again,
in a transaction of its own. Two servers may do so at once.';
