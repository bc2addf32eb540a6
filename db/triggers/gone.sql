-- Rows that go with an account, or by an operator in psql: those who are there are told, and what
-- nothing is left of makes devices that were away read the scope anew. Whoever goes through api
-- leaves a row behind that says so, or has told of it before.

-- All that the account took part in is locked in the order of ids, as everywhere, before what hangs
-- on it goes row by row: two accounts that are deleted at once wait for each other in one
-- direction.
CREATE OR REPLACE FUNCTION roost.lock_shared_with_user()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    PERFORM FROM roost.conversations AS conversation
    WHERE conversation.id = ANY (ARRAY(
        SELECT participant.conversation_id
        FROM roost.conversation_participants AS participant
        WHERE participant.user_id = OLD.id
    ))
    ORDER BY conversation.id
    FOR UPDATE;

    PERFORM FROM roost.workspaces AS workspace
    WHERE workspace.id = ANY (ARRAY(
        SELECT member.workspace_id
        FROM roost.workspace_members AS member
        WHERE member.user_id = OLD.id
    ))
    ORDER BY workspace.id
    FOR UPDATE;

    RETURN OLD;
END;
$$;

REVOKE ALL ON FUNCTION roost.lock_shared_with_user() FROM PUBLIC;

COMMENT ON FUNCTION roost.lock_shared_with_user() IS
'Trigger: before an account goes, what it shares with others is locked in order.';

CREATE OR REPLACE TRIGGER users_lock_shared
BEFORE DELETE ON roost.users
FOR EACH ROW
EXECUTE FUNCTION roost.lock_shared_with_user();

-- With the conversation they go without a word in it. The inboxes come at the end, behind
-- conversations and in one order.
CREATE OR REPLACE FUNCTION roost.announce_gone_participants()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_gone roost.conversation_participants;
    v_offset bigint;
BEGIN
    FOR v_gone IN
        SELECT listed.*
        FROM gone AS listed
        -- Each by its key, however many the planner takes them for.
        CROSS JOIN LATERAL (
            SELECT FROM roost.conversations AS conversation
            WHERE conversation.id = listed.conversation_id AND conversation.purged_at IS NULL
            LIMIT 1
        ) AS left_over
        ORDER BY listed.conversation_id, listed.user_id
    LOOP
        -- Of who had left before, the row was what said so.
        v_offset := v_gone.change_seq;

        IF v_gone.left_at IS NULL THEN
            v_gone.left_at := now();
            v_offset := realtime.publish(
                format('conversation:%s', v_gone.conversation_id),
                'participant.removed',
                row_to_json(roost.describe_participant(v_gone)),
                p_revokes => v_gone.user_id::text
            );
        END IF;

        UPDATE roost.conversations AS conversation
        SET removed_seq = greatest(conversation.removed_seq, v_offset)
        WHERE conversation.id = v_gone.conversation_id;
    END LOOP;

    -- In a deleted one they were told when it was deleted.
    PERFORM realtime.publish(
        format('user:%s', told.user_id),
        'conversation.removed',
        json_build_object('conversation_id', told.conversation_id)
    )
    FROM (
        SELECT listed.user_id, listed.conversation_id
        FROM gone AS listed
        CROSS JOIN LATERAL (
            SELECT FROM roost.users AS account
            WHERE account.id = listed.user_id
                AND listed.left_at IS NULL
                AND NOT listed.suspended
            LIMIT 1
        ) AS left_over
        ORDER BY listed.user_id, listed.conversation_id
    ) AS told;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_gone_participants() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_gone_participants() IS
'Trigger: of a participant whose row goes, the conversation and the person are told.';

CREATE OR REPLACE TRIGGER conversation_participants_announce_gone
AFTER DELETE ON roost.conversation_participants
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.announce_gone_participants();

-- One event for each conversation, however many messages it has lost: with them go what replies
-- refer to, and how many replies there are. Of what went because of its age message.expired tells.
CREATE OR REPLACE FUNCTION roost.announce_gone_messages()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_gone record;
    v_conversation roost.conversations;
    v_offset bigint;
BEGIN
    FOR v_gone IN
        SELECT listed.conversation_id, max(listed.seq) AS up_to_seq
        FROM gone AS listed
        GROUP BY listed.conversation_id
        ORDER BY listed.conversation_id
    LOOP
        SELECT conversation.*
        INTO v_conversation
        FROM roost.conversations AS conversation
        WHERE conversation.id = v_gone.conversation_id
            AND conversation.purged_at IS NULL
            AND conversation.expired_seq < v_gone.up_to_seq
        FOR NO KEY UPDATE;

        CONTINUE WHEN NOT FOUND;

        v_offset := roost.publish_conversation(v_conversation, 'conversation.reset');

        UPDATE roost.conversations AS conversation
        SET removed_seq = v_offset
        WHERE conversation.id = v_conversation.id;
    END LOOP;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_gone_messages() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_gone_messages() IS
'Trigger: where rows of messages go but for their age, the conversation is to be read anew.';

CREATE OR REPLACE TRIGGER messages_announce_gone
AFTER DELETE ON roost.messages
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.announce_gone_messages();

-- The row that counts its offsets is gone, and was locked: nobody else takes this one.
CREATE OR REPLACE FUNCTION roost.announce_gone_conversations()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_gone roost.conversations;
BEGIN
    FOR v_gone IN
        SELECT listed.* FROM gone AS listed WHERE listed.deleted_at IS NULL ORDER BY listed.id
    LOOP
        v_gone.deleted_at := now();

        PERFORM realtime.append(
            format('conversation:%s', v_gone.id),
            v_gone.last_seq + 1,
            'conversation.deleted',
            row_to_json(roost.describe_shared_conversation(v_gone)),
            p_revokes => 'everybody'
        );
    END LOOP;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_gone_conversations() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_gone_conversations() IS
'Trigger: a conversation whose row goes, and was not deleted before, ends for everybody.';

CREATE OR REPLACE TRIGGER conversations_announce_gone
AFTER DELETE ON roost.conversations
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.announce_gone_conversations();

-- Also where the workspace goes: whoever was in it is told in their inbox.
CREATE OR REPLACE FUNCTION roost.announce_gone_members()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_gone roost.workspace_members;
    v_topic text;
BEGIN
    FOR v_gone IN
        SELECT listed.*
        FROM gone AS listed
        CROSS JOIN LATERAL (
            SELECT FROM roost.workspaces AS workspace
            WHERE workspace.id = listed.workspace_id AND workspace.deleted_at IS NULL
            LIMIT 1
        ) AS left_over
        ORDER BY listed.workspace_id, listed.user_id
    LOOP
        v_topic := format('workspace:%s', v_gone.workspace_id);

        IF v_gone.left_at IS NULL THEN
            v_gone.left_at := now();
            v_gone.change_seq := realtime.take_offset(v_topic);

            PERFORM realtime.append(
                v_topic,
                v_gone.change_seq,
                'workspace_member.removed',
                row_to_json(roost.describe_workspace_member(v_gone)),
                p_revokes => v_gone.user_id::text
            );
        END IF;

        UPDATE realtime.topics AS topic
        SET removed_offset = greatest(topic.removed_offset, v_gone.change_seq)
        WHERE topic.topic = v_topic;
    END LOOP;

    -- Every inbox is a row lock, taken in one order everywhere.
    PERFORM realtime.publish(
        format('user:%s', told.user_id),
        'workspace.removed',
        json_build_object('workspace_id', told.workspace_id)
    )
    FROM (
        SELECT listed.user_id, listed.workspace_id
        FROM gone AS listed
        CROSS JOIN LATERAL (
            SELECT FROM roost.users AS account
            WHERE account.id = listed.user_id AND listed.left_at IS NULL
            LIMIT 1
        ) AS left_over
        ORDER BY listed.user_id, listed.workspace_id
    ) AS told;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_gone_members() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_gone_members() IS
'Trigger: of a member of a workspace whose row goes, the workspace and the person are told.';

CREATE OR REPLACE TRIGGER workspace_members_announce_gone
AFTER DELETE ON roost.workspace_members
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.announce_gone_members();

-- Of one that was marked as deleted everybody was told then.
CREATE OR REPLACE FUNCTION roost.announce_gone_workspaces()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_gone roost.workspaces;
    v_topic text;
BEGIN
    FOR v_gone IN
        SELECT listed.* FROM gone AS listed WHERE listed.deleted_at IS NULL ORDER BY listed.id
    LOOP
        v_topic := format('workspace:%s', v_gone.id);
        v_gone.change_seq := realtime.take_offset(v_topic);

        PERFORM realtime.append(
            v_topic,
            v_gone.change_seq,
            'workspace.deleted',
            row_to_json(roost.describe_shared_workspace(v_gone)),
            p_revokes => 'everybody'
        );
    END LOOP;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.announce_gone_workspaces() FROM PUBLIC;

COMMENT ON FUNCTION roost.announce_gone_workspaces() IS
'Trigger: a workspace whose row goes, and was not deleted by its owner, ends for everybody.';

CREATE OR REPLACE TRIGGER workspaces_announce_gone
AFTER DELETE ON roost.workspaces
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT
EXECUTE FUNCTION roost.announce_gone_workspaces();
