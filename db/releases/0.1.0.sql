-- File: functions/accounts/describe_account.sql
CREATE OR REPLACE FUNCTION roost.describe_account(p_user roost.users)
RETURNS roost.account
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_user.id,
        p_user.email::text,
        p_user.display_name,
        p_user.plan_type,
        p_user.preferences::jsonb,
        p_user.security_settings::jsonb,
        p_user.status,
        p_user.last_login,
        p_user.created_at,
        p_user.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_account(roost.users) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_account(roost.users) TO roost_api;

COMMENT ON FUNCTION roost.describe_account(roost.users) IS
'An account as its owner sees it: without the password hash.';
-- File: functions/accounts/describe_auth_user.sql
CREATE OR REPLACE FUNCTION roost.describe_auth_user(p_user roost.users)
RETURNS roost.auth_user
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_user.id,
        p_user.email::text,
        p_user.user_metadata::jsonb,
        p_user.last_login,
        p_user.created_at,
        p_user.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_auth_user(roost.users) FROM PUBLIC;

COMMENT ON FUNCTION roost.describe_auth_user(roost.users) IS
'An account as the auth endpoints show it.';
-- File: functions/accounts/get_me.sql
CREATE OR REPLACE FUNCTION api.get_me()
RETURNS roost.account
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_user roost.users;
BEGIN
    SELECT account.*
    INTO STRICT v_user
    FROM roost.users AS account
    WHERE account.id = v_user_id;

    RETURN roost.describe_account(v_user);
END;
$$;

ALTER FUNCTION api.get_me() OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.get_me() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.get_me() TO roost_user;

COMMENT ON FUNCTION api.get_me() IS
'Reads the caller''s account.

Callers: signed-in people.
Returns: the account, an object.
Errors: RO101.
Example: POST /rpc/get_me {}';
-- File: functions/accounts/get_user.sql
CREATE OR REPLACE FUNCTION roost.get_user(p_session_id uuid)
RETURNS roost.auth_user
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user roost.users;
BEGIN
    PERFORM roost.begin_call('user', p_session_id);

    SELECT account.*
    INTO STRICT v_user
    FROM roost.users AS account
    WHERE account.id = roost.current_user_id();

    RETURN roost.describe_auth_user(v_user);
END;
$$;

REVOKE ALL ON FUNCTION roost.get_user(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_user(uuid) TO roost_gateway;

COMMENT ON FUNCTION roost.get_user(uuid) IS
'The person of a living session, as the auth endpoints show them. Errors: RO102, RO103.';
-- File: functions/accounts/refuse_user.sql
-- An error about a row of roost.users quotes the row, password hash included, to the client and
-- into the server's log. Called where such an error was caught, this raises it again without it.
CREATE OR REPLACE FUNCTION roost.refuse_user(p_sqlstate text, p_message text, p_constraint text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_constraint = 'users_email_is_taken' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO107',
            MESSAGE = 'This e-mail address belongs to an account.',
            HINT = 'Sign in, or use another e-mail address.';
    END IF;

    RAISE EXCEPTION USING
        ERRCODE = p_sqlstate,
        MESSAGE = p_message,
        CONSTRAINT = p_constraint;
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_user(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION roost.refuse_user(text, text, text) IS
'Raises a caught error about an account again: RO107 for a taken e-mail address, others as they were
but without the row.';
-- File: functions/accounts/sign_up.sql
-- A new person has no device yet, so a device_id in the description is not looked at: a client that
-- sends the id it has stored with every call can still sign up a second person.
CREATE OR REPLACE FUNCTION roost.sign_up(
    p_email text,
    p_password_hash text,
    p_user_metadata jsonb,
    p_refresh_token_hash bytea,
    p_lifetime interval,
    p_user_agent text,
    p_device jsonb
)
RETURNS roost.signed_in
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user roost.users;
    v_sqlstate text;
    v_message text;
    v_constraint text;
BEGIN
    BEGIN
        INSERT INTO roost.users AS account (email, password_hash, user_metadata, last_login)
        VALUES (
            lower(p_email),
            p_password_hash,
            roost.merge_keys('{}', p_user_metadata),
            now()
        )
        RETURNING account.* INTO STRICT v_user;
    EXCEPTION
        WHEN integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS
                v_sqlstate = RETURNED_SQLSTATE,
                v_message = MESSAGE_TEXT,
                v_constraint = CONSTRAINT_NAME;
            PERFORM roost.refuse_user(v_sqlstate, v_message, v_constraint);
    END;

    RETURN roost.open_session(
        v_user, p_refresh_token_hash, p_lifetime, p_user_agent, p_device - 'device_id'
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.sign_up(text, text, jsonb, bytea, interval, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.sign_up(text, text, jsonb, bytea, interval, text, jsonb)
TO roost_gateway;

COMMENT ON FUNCTION roost.sign_up(text, text, jsonb, bytea, interval, text, jsonb) IS
'Makes an account, its first device and a session. p_refresh_token_hash is the SHA-256 of the
refresh token''s secret half, p_lifetime how long the session lasts without a refresh, p_device a
roost.device_description as JSON. Errors: RO107, 23514 (a value does not fit).';
-- File: functions/accounts/update_me.sql
CREATE OR REPLACE FUNCTION api.update_me(
    display_name text DEFAULT NULL,
    preferences jsonb DEFAULT NULL,
    security_settings jsonb DEFAULT NULL
)
RETURNS roost.account
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_user roost.users;
BEGIN
    -- Merged inside the UPDATE, under its row lock: two devices that set different keys at the same
    -- moment both keep theirs.
    UPDATE roost.users AS account
    SET display_name = coalesce(update_me.display_name, account.display_name),
        preferences = roost.merge_keys(account.preferences, update_me.preferences),
        security_settings = roost.merge_keys(
            account.security_settings, update_me.security_settings
        )
    WHERE account.id = v_user_id
    RETURNING account.* INTO STRICT v_user;

    RETURN roost.describe_account(v_user);
END;
$$;

ALTER FUNCTION api.update_me(text, jsonb, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.update_me(text, jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.update_me(text, jsonb, jsonb) TO roost_user;

COMMENT ON FUNCTION api.update_me(text, jsonb, jsonb) IS
'Changes the caller''s account. What is left out stays as it is.

Callers: signed-in people.
Arguments: display_name, at most 100 characters. preferences and security_settings, objects that are
laid over the stored ones key by key; a key whose value is null is removed. Each is at most 64 KiB.
Returns: the account, an object.
Errors: RO101, 23514 (a value does not fit).
Example: POST /rpc/update_me {"preferences": {"theme": "dark", "old_key": null}}';
-- File: functions/accounts/update_user.sql
CREATE OR REPLACE FUNCTION roost.update_user(
    p_session_id uuid,
    p_email text,
    p_password_hash text,
    p_user_metadata jsonb
)
RETURNS roost.auth_user
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user roost.users;
    v_sqlstate text;
    v_message text;
    v_constraint text;
BEGIN
    PERFORM roost.begin_call('user', p_session_id);

    BEGIN
        UPDATE roost.users AS account
        SET email = coalesce(lower(p_email), account.email),
            password_hash = coalesce(p_password_hash, account.password_hash),
            user_metadata = roost.merge_keys(account.user_metadata, p_user_metadata)
        WHERE account.id = roost.current_user_id()
        RETURNING account.* INTO STRICT v_user;
    EXCEPTION
        WHEN integrity_constraint_violation THEN
            GET STACKED DIAGNOSTICS
                v_sqlstate = RETURNED_SQLSTATE,
                v_message = MESSAGE_TEXT,
                v_constraint = CONSTRAINT_NAME;
            PERFORM roost.refuse_user(v_sqlstate, v_message, v_constraint);
    END;

    -- Whoever knew the old password is out. The person's row is locked since the UPDATE: a sign-in
    -- with the old password has either finished, and is ended here, or waits and is refused.
    IF p_password_hash IS NOT NULL THEN
        PERFORM roost.revoke_sessions(v_user.id, p_except => p_session_id);
    END IF;

    RETURN roost.describe_auth_user(v_user);
END;
$$;

REVOKE ALL ON FUNCTION roost.update_user(uuid, text, text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.update_user(uuid, text, text, jsonb) TO roost_gateway;

COMMENT ON FUNCTION roost.update_user(uuid, text, text, jsonb) IS
'Changes e-mail address, password or user_metadata (merged by key) of the person of a living
session; NULL leaves a value as it is. A new password ends the person''s other sessions. Errors:
RO102, RO103, RO107, 23514 (a value does not fit).';
-- File: functions/conversations/add_participant.sql
CREATE OR REPLACE FUNCTION api.add_participant(
    conversation_id uuid,
    user_id uuid,
    role roost.participant_role DEFAULT 'member'
)
RETURNS roost.participant
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_caller_role roost.participant_role := roost.require_role(
        add_participant.conversation_id, 'admin'
    );
    v_participant roost.participant;
    v_left_at timestamptz;
    v_title text;
BEGIN
    -- An admin makes members and viewers; only the owner makes admins; nobody makes a second owner.
    IF add_participant.role IS NULL OR add_participant.role >= v_caller_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'You can only give a role below your own.',
            DETAIL = format('Your role: %s; asked for: %s', v_caller_role, add_participant.role),
            HINT = 'Give viewer or member; the owner may also give admin.';
    END IF;

    PERFORM roost.require_active_users(ARRAY[add_participant.user_id]);

    -- Two admins who add the same person at the same moment: the second waits here, and then finds
    -- the row of the first.
    SELECT conversation.title
    INTO STRICT v_title
    FROM roost.conversations AS conversation
    WHERE conversation.id = add_participant.conversation_id
    FOR UPDATE;

    SELECT
        participant.conversation_id,
        participant.user_id,
        participant.role,
        participant.joined_at,
        participant.left_at
    INTO
        v_participant.conversation_id,
        v_participant.user_id,
        v_participant.role,
        v_participant.joined_at,
        v_left_at
    FROM roost.conversation_participants AS participant
    WHERE participant.conversation_id = add_participant.conversation_id
        AND participant.user_id = add_participant.user_id;

    IF FOUND AND v_left_at IS NULL THEN
        IF v_participant.role = add_participant.role THEN
            RETURN v_participant;
        END IF;

        RAISE EXCEPTION USING
            ERRCODE = 'RO301',
            MESSAGE = 'This person already takes part, in another role.',
            DETAIL = format('Role: %s', v_participant.role),
            HINT = 'Leave it, or ask for the role that they have.';
    END IF;

    INSERT INTO roost.conversation_participants AS participant (conversation_id, user_id, role)
    VALUES (add_participant.conversation_id, add_participant.user_id, add_participant.role)
    ON CONFLICT ON CONSTRAINT conversation_participants_pkey
    DO UPDATE SET role = excluded.role, joined_at = now(), left_at = NULL
    RETURNING
        participant.conversation_id, participant.user_id, participant.role, participant.joined_at
    INTO STRICT v_participant;

    PERFORM realtime.publish(
        format('conversation:%s', v_participant.conversation_id),
        'participant.added',
        row_to_json(v_participant)
    );
    PERFORM realtime.publish(
        format('user:%s', v_participant.user_id),
        'conversation.added',
        json_build_object(
            'conversation_id', v_participant.conversation_id,
            'title', v_title,
            'added_by', roost.current_user_id()
        )
    );

    RETURN v_participant;
END;
$$;

ALTER FUNCTION api.add_participant(uuid, uuid, roost.participant_role) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.add_participant(uuid, uuid, roost.participant_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.add_participant(uuid, uuid, roost.participant_role) TO roost_user;

COMMENT ON FUNCTION api.add_participant(uuid, uuid, roost.participant_role) IS
'Adds a person to a conversation. Others in it get participant.added, the person conversation.added
in their inbox. Adding somebody again in the same role changes nothing and answers the same.

Callers: admins and the owner of the conversation.
Arguments: conversation_id. user_id, the person. role, viewer, member or (by the owner) admin.
Returns: the participant, an object.
Errors: RO101, RO201 (not your conversation, or no such person), RO202 (role too low), RO301 (takes
part in another role).
Example: POST /rpc/add_participant {"conversation_id": "<id>", "user_id": "<id>"}';
-- File: functions/conversations/create_conversation.sql
CREATE OR REPLACE FUNCTION api.create_conversation(
    title text DEFAULT '',
    participants uuid[] DEFAULT '{}',
    workspace_path text DEFAULT '',
    metadata jsonb DEFAULT '{}'
)
RETURNS roost.conversation
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_conversation roost.conversation;
    v_others uuid[];
    v_event json;
BEGIN
    IF cardinality(create_conversation.participants) > 100 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Too many participants at once.',
            DETAIL = format('participants: %s', cardinality(create_conversation.participants)),
            HINT = 'Send at most 100, and add the others with add_participant.';
    END IF;

    SELECT array_agg(DISTINCT asked.user_id)
    INTO v_others
    FROM unnest(create_conversation.participants) AS asked (user_id)
    WHERE asked.user_id IS DISTINCT FROM v_user_id;

    PERFORM roost.require_active_users(v_others);

    -- The id is made first: to read the new row back, the caller has to take part already.
    v_conversation.id := roost.uuid_v7();

    INSERT INTO roost.conversations (id, user_id, title, workspace_path, metadata)
    VALUES (
        v_conversation.id,
        v_user_id,
        create_conversation.title,
        create_conversation.workspace_path,
        create_conversation.metadata
    );

    INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
    VALUES (v_conversation.id, v_user_id, 'owner');

    INSERT INTO roost.conversation_participants (conversation_id, user_id, role)
    SELECT v_conversation.id, other.user_id, 'member'
    FROM unnest(v_others) AS other (user_id);

    SELECT
        conversation.id,
        conversation.user_id,
        conversation.title,
        conversation.workspace_path,
        conversation.metadata,
        'owner'::roost.participant_role,
        conversation.last_seq,
        conversation.last_activity,
        conversation.created_at,
        conversation.updated_at
    INTO STRICT v_conversation
    FROM roost.conversations AS conversation
    WHERE conversation.id = v_conversation.id;

    -- Every inbox is a row lock. Taken in one order everywhere, two conversations between the same
    -- people can't wait for each other.
    v_event := json_build_object(
        'conversation_id', v_conversation.id,
        'title', v_conversation.title,
        'added_by', v_user_id
    );
    PERFORM realtime.publish(inbox.topic, 'conversation.added', v_event)
    FROM (
        SELECT format('user:%s', member.user_id) AS topic
        FROM unnest(v_others || v_user_id) AS member (user_id)
        ORDER BY member.user_id
    ) AS inbox;

    RETURN v_conversation;
END;
$$;

ALTER FUNCTION api.create_conversation(text, uuid[], text, jsonb) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.create_conversation(text, uuid[], text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.create_conversation(text, uuid[], text, jsonb) TO roost_user;

COMMENT ON FUNCTION api.create_conversation(text, uuid[], text, jsonb) IS
'Opens a conversation. The caller becomes its owner, the others members; each of them gets
conversation.added in their inbox, user:<id>.

Callers: signed-in people.
Arguments: title, at most 200 characters. participants, up to 100 user ids. workspace_path, at most
4096 characters. metadata, an object of at most 64 KiB.
Returns: the conversation, an object.
Errors: RO101, RO201 (no such person), RO302 (too many participants), 23514 (a value does not fit).
Example: POST /rpc/create_conversation {"title": "Plans", "participants": ["<user id>"]}';
-- File: functions/conversations/list_conversations.sql
CREATE OR REPLACE FUNCTION api.list_conversations(
    page_size integer DEFAULT 50,
    before_activity timestamptz DEFAULT NULL,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.conversation
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_conversations.page_size);

    IF (list_conversations.before_activity IS NULL) <> (list_conversations.before_id IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Half of a page position was sent.',
            HINT = 'Send both before_activity and before_id, from the last row of the page before.';
    END IF;

    -- Sorted from the person's own conversations: an index by activity would have to be written
    -- with every message.
    RETURN QUERY
    SELECT
        conversation.id,
        conversation.user_id,
        conversation.title,
        conversation.workspace_path,
        conversation.metadata::jsonb,
        participant.role,
        conversation.last_seq,
        conversation.last_activity,
        conversation.created_at,
        conversation.updated_at
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND (
            list_conversations.before_id IS NULL
            OR (conversation.last_activity, conversation.id)
            < (list_conversations.before_activity, list_conversations.before_id)
        )
    ORDER BY conversation.last_activity DESC, conversation.id DESC
    LIMIT list_conversations.page_size;
END;
$$;

ALTER FUNCTION api.list_conversations(integer, timestamptz, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_conversations(integer, timestamptz, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_conversations(integer, timestamptz, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_conversations(integer, timestamptz, uuid) IS
'Lists the caller''s conversations, last active first.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_activity and before_id, last_activity and id of the last
row of the page before.
Returns: a list of conversations.
Errors: RO101, RO302 (page size or half of a position).
Example: POST /rpc/list_conversations {"page_size": 20}';
-- File: functions/conversations/require_active_users.sql
-- Runs as the owner: a caller may name other people, but sees none of their accounts.
CREATE OR REPLACE FUNCTION roost.require_active_users(p_user_ids uuid[])
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_missing text;
BEGIN
    SELECT string_agg(coalesce(asked.user_id::text, 'null'), ', ')
    INTO v_missing
    FROM unnest(p_user_ids) AS asked (user_id)
    WHERE NOT EXISTS (
        SELECT FROM roost.users AS account
        WHERE account.id = asked.user_id AND account.status = 'active'
    );

    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such person.',
            DETAIL = format('Unknown: %s', v_missing),
            HINT = 'Send the user ids of people who have an account.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_active_users(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_active_users(uuid[]) TO roost_api;

COMMENT ON FUNCTION roost.require_active_users(uuid[]) IS
'Raises RO201 unless all of these people have an active account.';
-- File: functions/conversations/require_role.sql
-- The one funnel of every access check of a conversation. An outsider learns no more than from an
-- id that does not exist.
CREATE OR REPLACE FUNCTION roost.require_role(
    p_conversation_id uuid,
    p_role roost.participant_role
)
RETURNS roost.participant_role
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_role roost.participant_role;
BEGIN
    PERFORM roost.require_user();

    v_role := roost.conversation_role(p_conversation_id);

    IF v_role IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'There is no such conversation, or you do not take part in it.',
            DETAIL = format('Conversation: %s', coalesce(p_conversation_id::text, 'null')),
            HINT = 'Send the id of a conversation from list_conversations.';
    ELSIF v_role < p_role THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO202',
            MESSAGE = 'Your role in this conversation does not allow that.',
            DETAIL = format('Your role: %s; needed: %s', v_role, p_role),
            HINT = 'Ask an admin or the owner of the conversation.';
    END IF;

    RETURN v_role;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_role(uuid, roost.participant_role) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_role(uuid, roost.participant_role) TO roost_api;

COMMENT ON FUNCTION roost.require_role(uuid, roost.participant_role) IS
'The caller''s role in a conversation. Raises RO201 for an outsider, RO202 below p_role.';
-- File: functions/devices/close_extension_connection.sql
CREATE OR REPLACE FUNCTION api.close_extension_connection(connection_id uuid)
RETURNS roost.extension_connection
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_connection roost.extension_connections;
BEGIN
    UPDATE roost.extension_connections AS connection
    SET state = 'closed',
        closed_at = coalesce(connection.closed_at, now())
    WHERE connection.id = close_extension_connection.connection_id
        AND connection.user_id = v_user_id
    RETURNING connection.* INTO v_connection;

    IF NOT FOUND THEN
        PERFORM roost.refuse_extension_connection(close_extension_connection.connection_id);
    END IF;

    RETURN roost.describe_extension_connection(v_connection);
END;
$$;

ALTER FUNCTION api.close_extension_connection(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.close_extension_connection(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.close_extension_connection(uuid) TO roost_user;

COMMENT ON FUNCTION api.close_extension_connection(uuid) IS
'Records that an editor extension has gone. Closing it again changes nothing.

Callers: signed-in people.
Arguments: connection_id, a connection of the caller''s.
Returns: the connection, an object.
Errors: RO101, RO201 (not your connection).
Example: POST /rpc/close_extension_connection {"connection_id": "<id>"}';
-- File: functions/devices/describe_device.sql
CREATE OR REPLACE FUNCTION roost.describe_device(p_device roost.devices)
RETURNS roost.device
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_device.id,
        p_device.device_name,
        p_device.device_type,
        p_device.platform,
        p_device.capabilities::jsonb,
        p_device.status,
        coalesce(p_device.id = roost.current_device_id(), false),
        p_device.last_seen,
        p_device.created_at,
        p_device.updated_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_device(roost.devices) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_device(roost.devices) TO roost_api;

COMMENT ON FUNCTION roost.describe_device(roost.devices) IS
'A device as its owner sees it; current says whether the call comes from it.';
-- File: functions/devices/describe_extension_connection.sql
CREATE OR REPLACE FUNCTION roost.describe_extension_connection(
    p_connection roost.extension_connections
)
RETURNS roost.extension_connection
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        p_connection.id,
        p_connection.device_id,
        p_connection.editor,
        p_connection.version,
        p_connection.workspace_path,
        p_connection.state,
        p_connection.last_heartbeat,
        p_connection.created_at,
        p_connection.closed_at;
$$;

REVOKE ALL ON FUNCTION roost.describe_extension_connection(roost.extension_connections) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_extension_connection(roost.extension_connections)
TO roost_api;

COMMENT ON FUNCTION roost.describe_extension_connection(roost.extension_connections) IS
'An extension connection as its owner sees it.';
-- File: functions/devices/heartbeat_extension_connection.sql
CREATE OR REPLACE FUNCTION api.heartbeat_extension_connection(
    connection_id uuid,
    state roost.extension_state DEFAULT 'connected'
)
RETURNS roost.extension_connection
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_connection roost.extension_connections;
BEGIN
    IF heartbeat_extension_connection.state = 'closed' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'A heartbeat does not close a connection.',
            HINT = 'Send connected or idle, or call close_extension_connection.';
    END IF;

    -- A closed connection stays closed: a late heartbeat must not bring it back.
    UPDATE roost.extension_connections AS connection
    SET state = heartbeat_extension_connection.state,
        last_heartbeat = now()
    WHERE connection.id = heartbeat_extension_connection.connection_id
        AND connection.user_id = v_user_id
        AND connection.state <> 'closed'
    RETURNING connection.* INTO v_connection;

    IF NOT FOUND THEN
        PERFORM roost.refuse_extension_connection(heartbeat_extension_connection.connection_id);
    END IF;

    RETURN roost.describe_extension_connection(v_connection);
END;
$$;

ALTER FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state)
TO roost_user;

COMMENT ON FUNCTION api.heartbeat_extension_connection(uuid, roost.extension_state) IS
'Records a sign of life of an editor extension.

Callers: signed-in people.
Arguments: connection_id, an open connection of the caller''s. state, connected or idle.
Returns: the connection, an object.
Errors: RO101, RO201 (not your connection, or closed), RO302 (state closed), 22P02 (unknown state).
Example: POST /rpc/heartbeat_extension_connection {"connection_id": "<id>", "state": "idle"}';
-- File: functions/devices/list_devices.sql
CREATE OR REPLACE FUNCTION api.list_devices(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.device
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_devices.page_size);

    RETURN QUERY
    SELECT described.*
    FROM roost.devices AS device
    CROSS JOIN LATERAL roost.describe_device(device) AS described
    WHERE device.user_id = v_user_id
        AND (list_devices.before_id IS NULL OR device.id < list_devices.before_id)
    ORDER BY device.id DESC
    LIMIT list_devices.page_size;
END;
$$;

ALTER FUNCTION api.list_devices(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_devices(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_devices(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_devices(integer, uuid) IS
'Lists the caller''s devices, newest first, revoked ones included; current marks the one that asks.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of devices.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_devices {}';
-- File: functions/devices/list_extension_connections.sql
CREATE OR REPLACE FUNCTION api.list_extension_connections(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.extension_connection
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_extension_connections.page_size);

    RETURN QUERY
    SELECT described.*
    FROM roost.extension_connections AS connection
    CROSS JOIN LATERAL roost.describe_extension_connection(connection) AS described
    WHERE connection.user_id = v_user_id
        AND (
            list_extension_connections.before_id IS NULL
            OR connection.id < list_extension_connections.before_id
        )
    ORDER BY connection.id DESC
    LIMIT list_extension_connections.page_size;
END;
$$;

ALTER FUNCTION api.list_extension_connections(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_extension_connections(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_extension_connections(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_extension_connections(integer, uuid) IS
'Lists the editor extensions that are, or were, connected on the caller''s devices, newest first.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of connections.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_extension_connections {}';
-- File: functions/devices/open_extension_connection.sql
CREATE OR REPLACE FUNCTION api.open_extension_connection(
    editor text,
    version text DEFAULT '',
    workspace_path text DEFAULT ''
)
RETURNS roost.extension_connection
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_connection roost.extension_connections;
BEGIN
    -- Locks out a revocation of the device until the connection is there to be closed by it.
    PERFORM
    FROM roost.devices AS device
    WHERE device.id = roost.current_device_id()
        AND device.user_id = v_user_id
        AND device.status = 'active'
    FOR SHARE;

    IF NOT FOUND THEN
        PERFORM roost.refuse_device(roost.current_device_id());
    END IF;

    INSERT INTO roost.extension_connections AS connection (
        user_id, device_id, editor, version, workspace_path
    )
    VALUES (
        v_user_id,
        roost.current_device_id(),
        open_extension_connection.editor,
        open_extension_connection.version,
        open_extension_connection.workspace_path
    )
    RETURNING connection.* INTO v_connection;

    RETURN roost.describe_extension_connection(v_connection);
END;
$$;

ALTER FUNCTION api.open_extension_connection(text, text, text) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.open_extension_connection(text, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.open_extension_connection(text, text, text) TO roost_user;

COMMENT ON FUNCTION api.open_extension_connection(text, text, text) IS
'Records that an editor extension on the calling device is connected.

Callers: signed-in people.
Arguments: editor, 1 to 100 characters. version, at most 100 characters. workspace_path, at most
4096 characters.
Returns: the connection, an object.
Errors: RO101, RO201 (the device was revoked), 23514 (a value does not fit).
Example: POST /rpc/open_extension_connection {"editor": "vscode", "version": "1.2.0"}';
-- File: functions/devices/refuse_device.sql
CREATE OR REPLACE FUNCTION roost.refuse_device(p_device_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RO201',
        MESSAGE = 'You have no such device, or it was revoked.',
        DETAIL = format('Device: %s', coalesce(p_device_id::text, 'null')),
        HINT = 'Leave device_id out to get a new one, or send one from list_devices.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_device(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.refuse_device(uuid) TO roost_api;

COMMENT ON FUNCTION roost.refuse_device(uuid) IS 'Raises RO201 about a device.';
-- File: functions/devices/refuse_extension_connection.sql
CREATE OR REPLACE FUNCTION roost.refuse_extension_connection(p_connection_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'RO201',
        MESSAGE = 'You have no such extension connection.',
        DETAIL = format('Connection: %s', coalesce(p_connection_id::text, 'null')),
        HINT = 'Send an id from list_extension_connections, or open a new connection.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_extension_connection(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.refuse_extension_connection(uuid) TO roost_api;

COMMENT ON FUNCTION roost.refuse_extension_connection(uuid) IS
'Raises RO201 about an extension connection.';
-- File: functions/devices/register_device.sql
CREATE OR REPLACE FUNCTION api.register_device(
    device_name text,
    device_type roost.device_type,
    platform text DEFAULT NULL,
    capabilities jsonb DEFAULT NULL,
    device_id uuid DEFAULT NULL
)
RETURNS roost.device
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_old_id uuid := roost.current_device_id();
    v_device roost.devices;
BEGIN
    -- Both devices are locked before the session, in the order of their ids: two sessions that swap
    -- devices can't wait for each other, and a device that is revoked at the same moment either
    -- takes this session with it or is not active here.
    PERFORM
    FROM roost.devices AS device
    WHERE device.id IN (v_old_id, register_device.device_id) AND device.user_id = v_user_id
    ORDER BY device.id
    FOR UPDATE;

    UPDATE roost.devices AS device
    SET device_name = register_device.device_name,
        device_type = register_device.device_type,
        platform = coalesce(register_device.platform, device.platform),
        capabilities = coalesce(register_device.capabilities, device.capabilities),
        last_seen = now()
    WHERE device.id = coalesce(register_device.device_id, v_old_id)
        AND device.user_id = v_user_id
        AND device.status = 'active'
    RETURNING device.* INTO v_device;

    IF NOT FOUND THEN
        PERFORM roost.refuse_device(register_device.device_id);
    END IF;

    -- The rest of this transaction comes from the device that the session is on then.
    PERFORM set_config('roost.device_id', v_device.id::text, true);

    -- Before the session is touched; the lock order is in roost.revoke_sessions.
    PERFORM realtime.publish(
        format('user:%s', v_user_id),
        'device.registered',
        json_build_object(
            'device_id', v_device.id,
            'device_name', v_device.device_name,
            'device_type', v_device.device_type,
            'platform', v_device.platform,
            'capabilities', v_device.capabilities
        )
    );

    IF v_device.id <> v_old_id THEN
        UPDATE roost.sessions AS session
        SET device_id = v_device.id
        WHERE session.id = roost.current_session_id();

        PERFORM roost.remove_unused_device(v_old_id);
    END IF;

    RETURN roost.describe_device(v_device);
END;
$$;

ALTER FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid)
TO roost_user;

COMMENT ON FUNCTION api.register_device(text, roost.device_type, text, jsonb, uuid) IS
'Names the device of the calling session; with device_id, moves the session onto a device that the
person already has, and removes the one that signing in made when nothing refers to it. The
person''s devices get device.registered on user:<id>.

Callers: signed-in people.
Arguments: device_name, at most 100 characters. device_type, one of phone, tablet, laptop, desktop,
editor, browser, server, other. platform, at most 200 characters, and capabilities, an object of at
most 64 KiB: what is left out stays as it is. device_id, an active device of the caller''s.
Returns: the device, an object.
Errors: RO101, RO201 (not your device, or revoked), 22P02 (unknown device_type), 23514 (a value does
not fit).
Example: POST /rpc/register_device {"device_name": "Laptop", "device_type": "laptop"}';
-- File: functions/devices/remove_unused_device.sql
-- Owned by the tables' owner: row-level security would hide uses that the caller may not see, and a
-- device would be taken from messages in a conversation that the person has left. Sessions that are
-- over count as uses: they would be deleted with the device, out of the lock order, which is by id
-- (roost.revoke_sessions).
CREATE OR REPLACE FUNCTION roost.remove_unused_device(p_device_id uuid)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM roost.devices AS device
    WHERE device.id = p_device_id
        AND device.user_id = roost.current_user_id()
        AND device.device_name = ''
        AND device.device_type = 'other'
        AND NOT EXISTS (
            SELECT FROM roost.sessions AS session
            WHERE session.device_id = device.id AND session.user_id = device.user_id
        )
        AND NOT EXISTS (
            SELECT FROM roost.extension_connections AS connection
            WHERE connection.device_id = device.id AND connection.user_id = device.user_id
        )
        AND NOT EXISTS (
            SELECT FROM roost.messages AS message WHERE message.device_id = device.id
        );
$$;

REVOKE ALL ON FUNCTION roost.remove_unused_device(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.remove_unused_device(uuid) TO roost_api;

COMMENT ON FUNCTION roost.remove_unused_device(uuid) IS
'Removes a device of the caller''s that a sign-in made by itself, that was never named, and that
nothing refers to. Otherwise does nothing.';
-- File: functions/devices/revoke_device.sql
CREATE OR REPLACE FUNCTION api.revoke_device(device_id uuid)
RETURNS roost.device
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_device roost.devices;
    v_event json;
BEGIN
    -- The lock makes a sign-in on this device wait, and of two revocations the second find it done.
    SELECT device.*
    INTO v_device
    FROM roost.devices AS device
    WHERE device.id = revoke_device.device_id AND device.user_id = v_user_id
    FOR UPDATE;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such device.',
            DETAIL = format('Device: %s', coalesce(revoke_device.device_id::text, 'null')),
            HINT = 'Send the id of a device from list_devices.';
    END IF;

    IF v_device.status = 'active' THEN
        -- Told first, cut off second: the trigger on the status closes the device's sockets. It is
        -- the lock order too (roost.revoke_sessions).
        v_event := json_build_object('device_id', v_device.id, 'device_name', v_device.device_name);
        PERFORM realtime.publish(format('device:%s', v_device.id), 'device.revoked', v_event);
        PERFORM realtime.publish(format('user:%s', v_user_id), 'device.revoked', v_event);

        UPDATE roost.devices AS device
        SET status = 'revoked'
        WHERE device.id = v_device.id
        RETURNING device.* INTO STRICT v_device;
    END IF;

    RETURN roost.describe_device(v_device);
END;
$$;

ALTER FUNCTION api.revoke_device(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.revoke_device(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.revoke_device(uuid) TO roost_user;

COMMENT ON FUNCTION api.revoke_device(uuid) IS
'Shuts a device out for good: ends its sessions, closes its sockets and its extension connections.
device.revoked goes to device:<id> and user:<id>. Revoking it again changes nothing.

Callers: signed-in people.
Arguments: device_id, a device of the caller''s; the one that calls may be named too.
Returns: the device, an object.
Errors: RO101, RO201 (not your device).
Example: POST /rpc/revoke_device {"device_id": "<id>"}';
-- File: functions/messages/describe_message.sql
-- One expression, bound when it is made, so that the planner puts it into the statement: it costs
-- nothing there.
CREATE OR REPLACE FUNCTION roost.describe_message(p_message roost.messages)
RETURNS roost.message
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN ROW(
    p_message.id,
    p_message.conversation_id,
    p_message.seq,
    p_message.user_id,
    p_message.device_id,
    p_message.message_type,
    p_message.content,
    p_message.metadata,
    p_message.parent_message_id,
    p_message.created_at,
    p_message.updated_at
)::roost.message;

REVOKE ALL ON FUNCTION roost.describe_message(roost.messages) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.describe_message(roost.messages) TO roost_api;

COMMENT ON FUNCTION roost.describe_message(roost.messages) IS
'A message as clients get it.';
-- File: functions/messages/list_messages.sql
CREATE OR REPLACE FUNCTION api.list_messages(
    conversation_id uuid,
    before_seq bigint DEFAULT NULL,
    after_seq bigint DEFAULT NULL,
    page_size integer DEFAULT 50
)
RETURNS SETOF roost.message
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A message is left out when those before it on the page have this much content and metadata.
    c_most_bytes CONSTANT integer := 4194304;
    -- A variable: PostgreSQL does not trust coalesce() to be used in an index below a policy.
    v_before bigint := coalesce(list_messages.before_seq, 9223372036854775807);
BEGIN
    PERFORM roost.require_role(list_messages.conversation_id, 'viewer');
    PERFORM roost.require_page_size(list_messages.page_size);

    IF list_messages.before_seq IS NOT NULL AND list_messages.after_seq IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'Two directions were asked for at once.',
            HINT = 'Send before_seq to read back, or after_seq to read on.';
    END IF;

    -- Two statements, each of which is one walk along the index for any argument.
    IF list_messages.after_seq IS NOT NULL THEN
        RETURN QUERY
        SELECT (page.message).*
        FROM (
            SELECT
                listed.seq,
                roost.describe_message(listed) AS message,
                sum(octet_length(listed.content::text) + octet_length(listed.metadata::text)) OVER (
                    ORDER BY listed.seq
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.conversation_id = list_messages.conversation_id
                    AND message.seq > list_messages.after_seq
                ORDER BY message.seq
                LIMIT list_messages.page_size
            ) AS listed
        ) AS page
        WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
        ORDER BY page.seq;
    ELSE
        RETURN QUERY
        SELECT (page.message).*
        FROM (
            SELECT
                listed.seq,
                roost.describe_message(listed) AS message,
                sum(octet_length(listed.content::text) + octet_length(listed.metadata::text)) OVER (
                    ORDER BY listed.seq DESC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS bytes_before
            FROM (
                SELECT message.*
                FROM roost.messages AS message
                WHERE message.conversation_id = list_messages.conversation_id
                    AND message.seq < v_before
                ORDER BY message.seq DESC
                LIMIT list_messages.page_size
            ) AS listed
        ) AS page
        WHERE page.bytes_before IS NULL OR page.bytes_before < c_most_bytes
        ORDER BY page.seq DESC;
    END IF;
END;
$$;

ALTER FUNCTION api.list_messages(uuid, bigint, bigint, integer) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_messages(uuid, bigint, bigint, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_messages(uuid, bigint, bigint, integer) TO roost_user;

COMMENT ON FUNCTION api.list_messages(uuid, bigint, bigint, integer) IS
'Reads the messages of a conversation by their seq: newest first, or with after_seq oldest first.

Callers: participants of the conversation.
Arguments: conversation_id. before_seq, only messages before it. after_seq, only messages after it.
page_size, 1 to 200 rows.
Returns: a list of messages. A page ends early once it has 4 MiB of content, so a short page need
not be the last: go on from its last seq until a page is empty.
Errors: RO101, RO201 (not your conversation), RO302 (page size, or both directions).
Example: POST /rpc/list_messages {"conversation_id": "<id>", "after_seq": 40}';
-- File: functions/messages/send_message.sql
CREATE OR REPLACE FUNCTION api.send_message(
    conversation_id uuid,
    content jsonb,
    message_type text DEFAULT 'text',
    metadata jsonb DEFAULT '{}',
    parent_message_id uuid DEFAULT NULL,
    id uuid DEFAULT NULL
)
RETURNS roost.message
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_message roost.message;
    v_seq bigint;
BEGIN
    IF send_message.id IS NOT NULL THEN
        PERFORM roost.require_role(send_message.conversation_id, 'member');

        -- The same id sent twice at once, as by a client that timed out and tries again: the second
        -- waits here until the first has committed, and then finds its message.
        PERFORM FROM roost.conversations AS conversation
        WHERE conversation.id = send_message.conversation_id
        FOR UPDATE;

        SELECT (roost.describe_message(message)).*
        INTO v_message
        FROM roost.messages AS message
        WHERE message.id = send_message.id;

        IF FOUND THEN
            IF (
                v_message.conversation_id, v_message.user_id, v_message.message_type,
                v_message.content, v_message.metadata, v_message.parent_message_id
            ) IS NOT DISTINCT FROM (
                send_message.conversation_id, v_user_id, send_message.message_type,
                send_message.content, send_message.metadata, send_message.parent_message_id
            ) THEN
                RETURN v_message;
            END IF;

            RAISE EXCEPTION USING
                ERRCODE = 'RO301',
                MESSAGE = 'This id already stands for another message.',
                DETAIL = format('Id: %s', send_message.id),
                HINT = 'Make a new id for a new message; send the same body to repeat one.';
        END IF;
    END IF;

    -- One row lock gives the message its seq and its event the offset, and holds both to the
    -- commit. The policy lets members through and nobody else.
    UPDATE roost.conversations AS conversation
    SET last_seq = conversation.last_seq + 1, last_activity = now()
    WHERE conversation.id = send_message.conversation_id
    RETURNING conversation.last_seq INTO v_seq;

    IF NOT FOUND THEN
        PERFORM roost.require_role(send_message.conversation_id, 'member');
    END IF;

    -- Since the call began, register_device may have moved the session and removed the device that
    -- it came from: then the message has none. The foreign key would wait for that as well, but
    -- refuse.
    INSERT INTO roost.messages AS message (
        id, conversation_id, seq, user_id, device_id, message_type, content, metadata,
        parent_message_id
    )
    VALUES (
        coalesce(send_message.id, roost.uuid_v7()),
        send_message.conversation_id,
        v_seq,
        v_user_id,
        (
            SELECT device.id
            FROM roost.devices AS device
            WHERE device.id = roost.current_device_id()
            FOR KEY SHARE
        ),
        send_message.message_type,
        send_message.content,
        send_message.metadata,
        send_message.parent_message_id
    )
    RETURNING (roost.describe_message(message)).* INTO v_message;

    PERFORM realtime.append(
        'conversation:' || send_message.conversation_id,
        v_seq,
        'message.created',
        row_to_json(v_message)
    );

    RETURN v_message;
END;
$$;

ALTER FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) TO roost_user;

COMMENT ON FUNCTION api.send_message(uuid, jsonb, text, jsonb, uuid, uuid) IS
'Sends a message. Everybody in the conversation gets message.created on conversation:<id>, whose
offset is the message''s seq.

Callers: members, admins and the owner of the conversation.
Arguments: conversation_id. content, an object of at most 256 KiB. message_type, lower case, at most
64 characters. metadata, an object of at most 64 KiB. parent_message_id, the message that this one
answers. id, a UUID (version 7 is best) made by the client: sent again with the same body it answers
the first message instead of sending a second.
Returns: the message, an object.
Errors: RO101, RO201 (not your conversation), RO202 (viewer), RO301 (the id has another body), 23503
(no such parent in the conversation), 23505 (the id is taken), 23514 (a value does not fit).
Example: POST /rpc/send_message {"conversation_id": "<id>", "content": {"text": "hello"}}';
-- File: functions/realtime/append.sql
-- For writers that already hold the lock on the row that gives out the topic's offsets and took
-- this offset from it.
CREATE OR REPLACE FUNCTION realtime.append(
    p_topic text,
    p_offset bigint,
    p_event text,
    p_payload json
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO realtime.events (topic, event_offset, event, payload, actor_id, device_id)
    VALUES (
        p_topic,
        p_offset,
        p_event,
        p_payload,
        roost.current_user_id(),
        roost.current_device_id()
    );

    PERFORM realtime.wake(p_topic);
END;
$$;

REVOKE ALL ON FUNCTION realtime.append(text, bigint, text, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.append(text, bigint, text, json) TO roost_api;

COMMENT ON FUNCTION realtime.append(text, bigint, text, json) IS
'Writes an event under an offset that the caller has just taken under the topic''s row lock.';
-- File: functions/realtime/can_join.sql
-- NULL-safe: a caller without identity, a malformed id and an unknown topic are all simply false.
CREATE OR REPLACE FUNCTION realtime.can_join(p_topic text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
    v_id uuid;
BEGIN
    IF v_user_id IS NULL
        OR p_topic !~ '^[a-z]+:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
    THEN
        RETURN false;
    END IF;

    v_id := split_part(p_topic, ':', 2)::uuid;

    RETURN coalesce(
        CASE split_part(p_topic, ':', 1)
            WHEN 'conversation' THEN roost.conversation_role(v_id) IS NOT NULL
            WHEN 'user' THEN v_id = v_user_id
            WHEN 'device' THEN EXISTS (
                SELECT FROM roost.devices AS device
                WHERE device.id = v_id
                    AND device.user_id = v_user_id
                    AND device.status = 'active'
            )
        END,
        false
    );
END;
$$;

REVOKE ALL ON FUNCTION realtime.can_join(text) FROM PUBLIC;

COMMENT ON FUNCTION realtime.can_join(text) IS
'Whether the caller may receive a topic: a conversation they take part in, their own inbox, a device
of theirs.';
-- File: functions/realtime/drop_old_partitions.sql
-- One partition a call, in a transaction of its own; see realtime.make_partitions. Dropping needs
-- events for itself: taken first, while nothing is held that somebody could wait for.
CREATE OR REPLACE FUNCTION realtime.drop_old_partitions(p_retention interval DEFAULT '7 days')
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    -- The oldest; events_default comes after all days.
    v_name text := (SELECT min(old.name) FROM realtime.old_partitions(p_retention) AS old (name));
BEGIN
    IF v_name = 'events_default' THEN
        -- It stays; what is past retention goes in bites of well below a second.
        DELETE FROM realtime.events_default AS event
        WHERE event.ctid = ANY (ARRAY(
            SELECT old.ctid
            FROM realtime.events_default AS old
            WHERE old.created_at < now() - p_retention
            LIMIT 10000
        ));
    ELSIF v_name IS NOT NULL THEN
        LOCK TABLE ONLY realtime.events IN ACCESS EXCLUSIVE MODE;
        -- Until now somebody else could drop it.
        EXECUTE format('DROP TABLE IF EXISTS realtime.%I', v_name);
    END IF;

    RETURN (SELECT count(*) FROM realtime.old_partitions(p_retention));
END;
$$;

REVOKE ALL ON FUNCTION realtime.drop_old_partitions(interval) FROM PUBLIC;

COMMENT ON FUNCTION realtime.drop_old_partitions(interval) IS
'Drops the oldest event partition whose last moment is past retention; when there is none, deletes
up to 10,000 events past retention from the default partition. Answers how many partitions are left
to drop or to clear. Errors: 55P03 (somebody reads events for long; try again).';
-- File: functions/realtime/get_epoch.sql
CREATE OR REPLACE FUNCTION realtime.get_epoch()
RETURNS text
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT log.epoch FROM realtime.log AS log;
$$;

REVOKE ALL ON FUNCTION realtime.get_epoch() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.get_epoch() TO roost_gateway;

COMMENT ON FUNCTION realtime.get_epoch() IS
'The epoch of the event log. The server asks whenever it has been cut off: when it has changed, the
offsets that its subscribers hold mean nothing any more.';
-- File: functions/realtime/join_topic.sql
CREATE OR REPLACE FUNCTION realtime.join_topic(
    p_topic text,
    p_after bigint DEFAULT NULL,
    p_epoch text DEFAULT NULL
)
RETURNS TABLE (last_offset bigint, epoch text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.require_user();

    IF NOT realtime.can_join(p_topic) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO401',
            MESSAGE = 'You may not join this topic.',
            DETAIL = format('Topic: %s', p_topic),
            HINT = 'Join conversation:<id> of a conversation that you take part in, user:<your id>'
                ' or device:<id> of a device of yours.';
    END IF;

    last_offset := realtime.last_offset(p_topic);
    SELECT log.epoch INTO STRICT epoch FROM realtime.log AS log;

    IF p_after IS NOT NULL THEN
        IF p_epoch IS NOT NULL AND p_epoch <> epoch THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO403',
                MESSAGE = 'The event log was replaced since this offset was given out.',
                DETAIL = format('Epoch now: %s', epoch),
                HINT = 'Read the state again, then join without an offset.';
        ELSIF p_after < 0 OR p_after > last_offset THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO402',
                MESSAGE = 'The topic has no such offset.',
                DETAIL = format('Offset asked for: %s; newest: %s', p_after, last_offset),
                HINT = 'Send the offset of the last event that you received, or 0 for all.';
        ELSIF p_after < last_offset AND NOT EXISTS (
            SELECT FROM realtime.events AS event
            WHERE event.topic = p_topic AND event.event_offset = p_after + 1
        ) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO403',
                MESSAGE = 'Events after this offset are gone.',
                DETAIL = format('Offset asked for: %s; newest: %s', p_after, last_offset),
                HINT = 'Read the state again, then join without an offset.';
        END IF;
    END IF;

    RETURN NEXT;
END;
$$;

REVOKE ALL ON FUNCTION realtime.join_topic(text, bigint, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.join_topic(text, bigint, text) TO roost_user;

COMMENT ON FUNCTION realtime.join_topic(text, bigint, text) IS
'Decides a join: answers the topic''s newest offset and the log''s epoch. p_after is the last offset
that the client has, p_epoch the epoch that it had it from. Errors: RO101, RO401, RO402 (no such
offset), RO403 (must refetch).';
-- File: functions/realtime/last_offset.sql
CREATE OR REPLACE FUNCTION realtime.last_offset(p_topic text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint;
BEGIN
    IF p_topic LIKE 'conversation:%' THEN
        SELECT conversation.last_seq
        INTO v_offset
        FROM roost.conversations AS conversation
        WHERE conversation.id = substr(p_topic, 14)::uuid;
    ELSE
        SELECT topic.last_offset
        INTO v_offset
        FROM realtime.topics AS topic
        WHERE topic.topic = p_topic;
    END IF;

    RETURN coalesce(v_offset, 0);
END;
$$;

REVOKE ALL ON FUNCTION realtime.last_offset(text) FROM PUBLIC;

COMMENT ON FUNCTION realtime.last_offset(text) IS
'Offset of a topic''s newest event; 0 before the first.';
-- File: functions/realtime/maintain_partitions.sql
-- One step a call and a transaction a step; realtime.make_partitions says why. Making comes first:
-- a partition that can't be dropped now keeps nobody from writing.
CREATE OR REPLACE FUNCTION realtime.maintain_partitions(
    p_retention interval DEFAULT '7 days',
    p_days_ahead integer DEFAULT 7
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Two servers at the same moment: one does it, and the other has nothing to do.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('roost:realtime.maintain_partitions', 0)) THEN
        RETURN 0;
    END IF;

    IF EXISTS (SELECT FROM realtime.missing_partitions(p_days_ahead)) THEN
        RETURN realtime.make_partitions(p_days_ahead)
            + (SELECT count(*) FROM realtime.old_partitions(p_retention));
    END IF;

    RETURN realtime.drop_old_partitions(p_retention);
END;
$$;

REVOKE ALL ON FUNCTION realtime.maintain_partitions(interval, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.maintain_partitions(interval, integer) TO roost_gateway;

COMMENT ON FUNCTION realtime.maintain_partitions(interval, integer) IS
'Makes the event partition of one coming day that has none, or else drops one past retention, and
answers how many such steps are left: call it again, each time in a transaction of its own, until it
answers 0. The server does so when it starts and every hour; without a server, let cron do it.
Errors: 55P03 (somebody reads events for long; try again).';
-- File: functions/realtime/make_partitions.sql
-- One partition a call, in a transaction of its own. Attaching it takes the default partition for
-- itself until the transaction ends, to look through it, and a reader who has locked events waits
-- for that. Nothing may be waited for meanwhile that such a reader has, as would be the lock that
-- dropping a partition needs. Locks are taken in the readers' order, events before its partitions,
-- and given up soon: while one is waited for behind a long reader, such as a backup, others wait
-- behind it.
CREATE OR REPLACE FUNCTION realtime.make_partitions(p_days_ahead integer DEFAULT 7)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '250ms'
AS $$
DECLARE
    v_days date[];
    v_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM realtime.missing_partitions(p_days_ahead)) THEN
        RETURN 0;
    END IF;

    LOCK TABLE ONLY realtime.events IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE realtime.events_default IN ACCESS EXCLUSIVE MODE;

    -- Asked again: until now somebody else could make it, or write to the default partition.
    v_days := ARRAY(
        SELECT missing.day FROM realtime.missing_partitions(p_days_ahead) AS missing (day)
    );

    IF cardinality(v_days) = 0 THEN
        RETURN 0;
    END IF;

    v_name := format('events_%s', to_char(v_days[1], 'YYYYMMDD'));

    -- Made apart and attached: made as a partition it would need events for itself.
    EXECUTE format(
        'CREATE TABLE realtime.%I (LIKE realtime.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        v_name
    );
    EXECUTE format('ALTER TABLE realtime.%I ENABLE ROW LEVEL SECURITY', v_name);
    EXECUTE format(
        'ALTER TABLE realtime.events ATTACH PARTITION realtime.%I FOR VALUES FROM (%L) TO (%L)',
        v_name,
        v_days[1]::timestamp AT TIME ZONE 'UTC',
        (v_days[1] + 1)::timestamp AT TIME ZONE 'UTC'
    );

    RETURN cardinality(v_days) - 1;
END;
$$;

REVOKE ALL ON FUNCTION realtime.make_partitions(integer) FROM PUBLIC;

COMMENT ON FUNCTION realtime.make_partitions(integer) IS
'Makes the event partition of the next day, from today to p_days_ahead days on, that has none, and
answers how many are left to make. Errors: 55P03 (somebody reads events for long; try again).';
-- File: functions/realtime/missing_partitions.sql
-- A day that has rows in the default partition already gets no partition of its own any more: its
-- rows would have to be moved with all readers and writers shut out, for as long as that takes.
-- They stay where they are. Such a day is rare, since partitions are made days ahead.
CREATE OR REPLACE FUNCTION realtime.missing_partitions(p_days_ahead integer)
RETURNS SETOF date
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT wanted.day
    FROM (
        SELECT (now() AT TIME ZONE 'UTC')::date + ahead.days AS day
        FROM generate_series(0, p_days_ahead) AS ahead (days)
    ) AS wanted
    WHERE to_regclass(format('realtime.events_%s', to_char(wanted.day, 'YYYYMMDD'))) IS NULL
        AND NOT EXISTS (
            SELECT FROM realtime.events_default AS event
            WHERE event.created_at >= wanted.day::timestamp AT TIME ZONE 'UTC'
                AND event.created_at < (wanted.day + 1)::timestamp AT TIME ZONE 'UTC'
        )
    ORDER BY wanted.day;
$$;

REVOKE ALL ON FUNCTION realtime.missing_partitions(integer) FROM PUBLIC;

COMMENT ON FUNCTION realtime.missing_partitions(integer) IS
'Days (UTC), today and p_days_ahead more, whose event partition can be made and is not there.';
-- File: functions/realtime/new_epoch.sql
-- A notification without a line makes every relay look at everything that it could have missed, the
-- epoch included. It goes out with this transaction, also on a connection of the server.
CREATE OR REPLACE FUNCTION realtime.new_epoch()
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_epoch text;
BEGIN
    UPDATE realtime.log AS log
    SET epoch = left(replace(gen_random_uuid()::text, '-', ''), 12)
    RETURNING log.epoch INTO STRICT v_epoch;

    PERFORM pg_notify('roost_events', '');

    RETURN v_epoch;
END;
$$;

REVOKE ALL ON FUNCTION realtime.new_epoch() FROM PUBLIC;

COMMENT ON FUNCTION realtime.new_epoch() IS
'Gives the event log a new epoch and answers it: every subscriber is told to read the state again,
and every offset given out before is refused with RO403. To be called by whoever has restored the
database from a backup, as its owner or as roost_owner; offsets are about to be given out again.';
-- File: functions/realtime/old_partitions.sql
-- The default partition is never past retention as a whole, but events in it may be.
CREATE OR REPLACE FUNCTION realtime.old_partitions(p_retention interval)
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT child.relname::text
    FROM pg_inherits AS link
    JOIN pg_class AS child ON child.oid = link.inhrelid
    WHERE link.inhparent = 'realtime.events'::regclass
        AND child.relname ~ '^events_[0-9]{8}$'
        AND to_date(right(child.relname, 8), 'YYYYMMDD') + 1
        <= ((now() - p_retention) AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT 'events_default'
    WHERE EXISTS (
        SELECT FROM realtime.events_default AS event WHERE event.created_at < now() - p_retention
    );
$$;

REVOKE ALL ON FUNCTION realtime.old_partitions(interval) FROM PUBLIC;

COMMENT ON FUNCTION realtime.old_partitions(interval) IS
'Names of the event partitions whose last moment is past retention, and events_default when it
has events past retention.';
-- File: functions/realtime/publish.sql
-- The row lock that the UPDATE takes is held to the end of the transaction. Two writers of one
-- topic thus commit in the order of their offsets; a rollback gives its offset back.
CREATE OR REPLACE FUNCTION realtime.publish(p_topic text, p_event text, p_payload json)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_offset bigint;
BEGIN
    IF p_topic LIKE 'conversation:%' THEN
        UPDATE roost.conversations AS conversation
        SET last_seq = conversation.last_seq + 1
        WHERE conversation.id = substr(p_topic, 14)::uuid
        RETURNING conversation.last_seq INTO STRICT v_offset;
    ELSE
        INSERT INTO realtime.topics AS topic (topic, last_offset)
        VALUES (p_topic, 1)
        ON CONFLICT ON CONSTRAINT topics_pkey
        DO UPDATE SET last_offset = topic.last_offset + 1
        RETURNING topic.last_offset INTO v_offset;
    END IF;

    PERFORM realtime.append(p_topic, v_offset, p_event, p_payload);

    RETURN v_offset;
END;
$$;

REVOKE ALL ON FUNCTION realtime.publish(text, text, json) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.publish(text, text, json) TO roost_api;

COMMENT ON FUNCTION realtime.publish(text, text, json) IS
'Appends an event to a topic in the caller''s transaction and answers its offset.';
-- File: functions/realtime/read_events.sql
-- One query for all topics that have something new: a walk down the primary key for each. Offsets
-- are in commit order, so a snapshot that sees an offset sees all before it. An event is left out
-- when those before it on its page have p_bytes: a page has at least one, whatever its size.
CREATE OR REPLACE FUNCTION realtime.read_events(
    p_topics text[],
    p_afters bigint[],
    p_limit integer,
    p_bytes integer DEFAULT 1048576
)
RETURNS TABLE (topic text, event_offset bigint, id uuid, event text, payload json, epoch text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- PL/pgSQL keeps the plan; a function in SQL would be planned on every call before version 18.
    RETURN QUERY
    SELECT
        asked.topic,
        page.event_offset,
        page.id,
        page.event,
        page.payload,
        (SELECT log.epoch FROM realtime.log AS log)
    FROM unnest(p_topics, p_afters) AS asked (topic, after)
    CROSS JOIN LATERAL (
        SELECT
            listed.*,
            sum(octet_length(listed.payload::text)) OVER (
                ORDER BY listed.event_offset
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM (
            SELECT
                stored.event_offset,
                stored.id,
                stored.event,
                stored.payload
            FROM realtime.events AS stored
            WHERE stored.topic = asked.topic AND stored.event_offset > asked.after
            ORDER BY stored.event_offset
            LIMIT p_limit
        ) AS listed
    ) AS page
    WHERE page.bytes_before IS NULL OR page.bytes_before < p_bytes
    ORDER BY asked.topic, page.event_offset;
END;
$$;

REVOKE ALL ON FUNCTION realtime.read_events(text[], bigint[], integer, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.read_events(text[], bigint[], integer, integer)
TO roost_gateway;

COMMENT ON FUNCTION realtime.read_events(text[], bigint[], integer, integer) IS
'For each topic, up to p_limit events after an offset, in order. A topic''s page ends early when its
payloads reach p_bytes, so a page below p_limit need not be the last: compare with the topic''s
newest offset. For the gateway, which has asked join_topic before it passes them on.';
-- File: functions/realtime/wake.sql
-- Tells the relays that a topic has something new, or passes them a control line ("!session:<id>"
-- closes that session's sockets). The server finds the line in roost.touched when the call returns,
-- wakes its own relay and notifies the other servers outside this transaction: a transaction that
-- notifies holds a lock over its flush that all such transactions of the cluster share, which ends
-- group commit. Whoever writes without the server (psql, cron) notifies in its transaction, since
-- nothing else would.
CREATE OR REPLACE FUNCTION realtime.wake(p_line text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('roost.gateway', true) = 'on' THEN
        PERFORM set_config(
            'roost.touched',
            concat_ws(E'\n', nullif(current_setting('roost.touched', true), ''), p_line),
            true
        );
    ELSE
        PERFORM pg_notify('roost_events', E'\n' || p_line);
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION realtime.wake(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.wake(text) TO roost_api;

COMMENT ON FUNCTION realtime.wake(text) IS
'Tells the relays, after commit, that a topic has something new.';
-- File: functions/sessions/account_subject.sql
-- A digest, so that what people mistype into the address field is not kept. STABLE: what is upper
-- case is up to the database's locale, as it is for citext.
CREATE OR REPLACE FUNCTION roost.account_subject(p_email text)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'account:' || encode(sha256(convert_to(lower(p_email), 'UTF8')), 'hex');
$$;

REVOKE ALL ON FUNCTION roost.account_subject(text) FROM PUBLIC;

COMMENT ON FUNCTION roost.account_subject(text) IS
'Under what the failed sign-ins of an e-mail address are counted, with an account or without.';
-- File: functions/sessions/begin_call.sql
-- The first statement of every call that the server makes. Sets the caller's identity for this
-- transaction and answers the role that the server is then to take:
--     SELECT set_config('role', roost.begin_call('user', <session id>), true)
-- The role can't be set in here, since PostgreSQL forbids that to SECURITY DEFINER functions.
-- Reading the session in the transaction of the call is what makes revoking work at once. It takes
-- no lock: a call that began before the revocation committed may still finish.
CREATE OR REPLACE FUNCTION roost.begin_call(p_role text, p_session_id uuid)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE p_role
        WHEN 'user' THEN
            PERFORM
                set_config('roost.session_id', session.id::text, true),
                set_config('roost.user_id', session.user_id::text, true),
                set_config('roost.device_id', session.device_id::text, true)
            FROM roost.sessions AS session
            WHERE session.id = p_session_id
                AND session.revoked_at IS NULL
                AND session.expires_at > now();

            IF NOT FOUND THEN
                PERFORM roost.refuse_session(p_session_id);
            END IF;

            RETURN 'roost_user';
        WHEN 'anon' THEN
            RETURN 'roost_anon';
        WHEN 'service' THEN
            RETURN 'roost_service';
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = 'case_not_found',
                MESSAGE = 'There is no such kind of caller.',
                DETAIL = format('Kind: %s', coalesce(p_role, 'null')),
                HINT = 'Ask for anon, user or service.';
    END CASE;
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_call(text, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_call(text, uuid) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_call(text, uuid) IS
'Checks the session, sets the caller''s identity for this transaction and answers the role to take.
p_role is anon, user or service; p_session_id is read for user only. Errors: RO102, RO103.';
-- File: functions/sessions/begin_sign_in.sql
-- Charges the attempt before anything is known about the password; finish_sign_in gives it back. An
-- address without an account is charged and answered like one that has one, but with no hash.
-- 5 failures are free for an account: a person tries a few passwords. 50 are for an address: a
-- household or an office shares one. The account's row is always locked first.
CREATE OR REPLACE FUNCTION roost.begin_sign_in(p_email text, p_address text)
RETURNS roost.sign_in_candidate
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_candidate roost.sign_in_candidate;
BEGIN
    PERFORM roost.charge_attempt(roost.account_subject(p_email), 5);
    PERFORM roost.charge_attempt('address:' || p_address, 50);
    PERFORM roost.forget_attempts();

    SELECT account.id, account.password_hash
    INTO v_candidate
    FROM roost.users AS account
    WHERE account.email OPERATOR(extensions.=) p_email::extensions.citext;

    RETURN v_candidate;
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_sign_in(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_sign_in(text, text) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_sign_in(text, text) IS
'Counts a sign-in against the account and the client''s address, and answers whose password to check
against which hash; both are NULL for an unknown address. Errors: RO106, with the seconds to wait in
its detail.';
-- File: functions/sessions/begin_sign_up.sql
-- Before the password is hashed, which is the work that a sign-up costs. 100 are free for an
-- address: a school or a company may sign up from one. They are counted apart from its sign-ins, so
-- that newcomers keep nobody out.
-- A taken address is an answer and not an error: an error would take the charge back, and whoever
-- asks which addresses have accounts would ask for nothing.
CREATE OR REPLACE FUNCTION roost.begin_sign_up(p_email text, p_address text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- As it would be stored.
    v_email text := lower(p_email);
BEGIN
    -- The rule of the table, which can't be asked without a row; tests/test_auth.py compares them.
    IF v_email !~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$'
        OR char_length(v_email) > 254
    THEN
        PERFORM roost.refuse_user(
            '23514', 'This is not an e-mail address.', 'users_email_is_an_address'
        );
    END IF;

    PERFORM roost.charge_attempt('address:sign_up:' || p_address, 100);
    PERFORM roost.forget_attempts();

    RETURN NOT EXISTS (
        SELECT FROM roost.users AS account
        WHERE account.email OPERATOR(extensions.=) v_email::extensions.citext
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.begin_sign_up(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.begin_sign_up(text, text) TO roost_gateway;

COMMENT ON FUNCTION roost.begin_sign_up(text, text) IS
'Counts a sign-up against the client''s address, and answers whether the e-mail address is free.
Errors: RO106, with the seconds to wait in its detail; 23514 (not an e-mail address).';
-- File: functions/sessions/charge_attempt.sql
-- The row lock of the upsert makes attempts on one subject queue up, each counted before its
-- password is checked: guesses sent in parallel are no cheaper than guesses in turn. Each failure
-- past the free ones doubles the wait: 2 s, 4 s, 8 s and so on up to 15 minutes. A quarter of an
-- hour keeps an attacker below 100 guesses a day, and an owner who comes back in the evening is not
-- locked out for the night. After an hour without an attempt the count starts again.
CREATE OR REPLACE FUNCTION roost.charge_attempt(p_subject text, p_free integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_longest_wait CONSTANT interval := interval '15 minutes';
    c_memory CONSTANT interval := interval '1 hour';
    v_failures integer;
    v_blocked_until timestamptz;
BEGIN
    INSERT INTO roost.login_attempts AS attempt (subject, failures, last_attempt_at)
    VALUES (p_subject, 1, clock_timestamp())
    ON CONFLICT ON CONSTRAINT login_attempts_pkey
    DO UPDATE SET
        failures = CASE
            WHEN attempt.last_attempt_at < clock_timestamp() - c_memory THEN 1
            ELSE attempt.failures + 1
        END,
        last_attempt_at = clock_timestamp()
    WHERE attempt.blocked_until IS NULL OR attempt.blocked_until <= clock_timestamp()
    RETURNING attempt.failures INTO v_failures;

    -- The upsert locked the row even where it did not change it, so this reads what it decided on.
    IF NOT FOUND THEN
        SELECT attempt.blocked_until
        INTO v_blocked_until
        FROM roost.login_attempts AS attempt
        WHERE attempt.subject = p_subject;

        RAISE EXCEPTION USING
            ERRCODE = 'RO106',
            MESSAGE = 'Too many attempts.',
            DETAIL = format(
                'Seconds to wait: %s',
                greatest(1, ceil(extract(EPOCH FROM v_blocked_until - clock_timestamp())))
            ),
            HINT = 'Wait, then try again.';
    END IF;

    UPDATE roost.login_attempts AS attempt
    SET blocked_until = CASE
        WHEN v_failures > p_free THEN clock_timestamp() + least(
            make_interval(secs => power(2, least(v_failures - p_free, 20))), c_longest_wait
        )
    END
    WHERE attempt.subject = p_subject;
END;
$$;

REVOKE ALL ON FUNCTION roost.charge_attempt(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION roost.charge_attempt(text, integer) IS
'Counts an attempt to sign in or up against an account or an address. After p_free failures each
further one earns a wait; an attempt during a wait is not counted and raises RO106 with the seconds
in its detail.';
-- File: functions/sessions/end_sessions.sql
CREATE OR REPLACE FUNCTION roost.end_sessions(p_session_id uuid, p_scope text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.begin_call('user', p_session_id);

    CASE p_scope
        WHEN 'local' THEN
            UPDATE roost.sessions AS session
            SET revoked_at = coalesce(session.revoked_at, now())
            WHERE session.id = p_session_id;
        WHEN 'others' THEN
            PERFORM roost.revoke_sessions(roost.current_user_id(), p_except => p_session_id);
        WHEN 'global' THEN
            PERFORM roost.revoke_sessions(roost.current_user_id());
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = 'RO302',
                MESSAGE = 'There is no such scope.',
                DETAIL = format('scope: %s', p_scope),
                HINT = 'Send local, others or global.';
    END CASE;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_sessions(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.end_sessions(uuid, text) TO roost_gateway;

COMMENT ON FUNCTION roost.end_sessions(uuid, text) IS
'Signs out: the session itself (local), the person''s other ones (others) or all (global). Errors:
RO102, RO103, RO302 (scope).';
-- File: functions/sessions/find_ended_sessions.sql
-- The server asks this now and then about the sessions of its open sockets: the notification that a
-- session has ended can get lost, as when a server dies between the commit and the notification.
CREATE OR REPLACE FUNCTION roost.find_ended_sessions(p_session_ids uuid[])
RETURNS SETOF uuid
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT asked.id
    FROM unnest(p_session_ids) AS asked (id)
    WHERE NOT EXISTS (
        SELECT FROM roost.sessions AS session
        WHERE session.id = asked.id
            AND session.revoked_at IS NULL
            AND session.expires_at > now()
    );
$$;

REVOKE ALL ON FUNCTION roost.find_ended_sessions(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_ended_sessions(uuid[]) TO roost_gateway;

COMMENT ON FUNCTION roost.find_ended_sessions(uuid[]) IS
'Which of these sessions are over: ended, expired or unknown. For the gateway alone.';
-- File: functions/sessions/finish_sign_in.sql
CREATE OR REPLACE FUNCTION roost.finish_sign_in(
    p_user_id uuid,
    p_email text,
    p_address text,
    p_checked_hash text,
    p_password_hash text,
    p_refresh_token_hash bytea,
    p_lifetime interval,
    p_user_agent text,
    p_device jsonb
)
RETURNS roost.signed_in
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user roost.users;
BEGIN
    -- In the order in which begin_sign_in locks them.
    DELETE FROM roost.login_attempts AS attempt
    WHERE attempt.subject = roost.account_subject(p_email);

    -- The wait that this attempt earned goes with its charge. Were it to stay, an office behind one
    -- address would be kept out by somebody's forgotten password.
    UPDATE roost.login_attempts AS attempt
    SET failures = greatest(attempt.failures - 1, 0),
        blocked_until = NULL
    WHERE attempt.subject = 'address:' || p_address;

    -- The hash is compared again under the row lock: a password that was changed while the old one
    -- was being checked opens no session. The same lock makes a change of status wait for the new
    -- session, and end it.
    UPDATE roost.users AS account
    SET last_login = now(),
        password_hash = coalesce(p_password_hash, account.password_hash)
    WHERE account.id = p_user_id AND account.password_hash = p_checked_hash
    RETURNING account.* INTO v_user;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    PERFORM roost.require_active_account(v_user.status);

    RETURN roost.open_session(
        v_user, p_refresh_token_hash, p_lifetime, p_user_agent, p_device
    );
END;
$$;

REVOKE ALL ON FUNCTION roost.finish_sign_in(
    uuid, text, text, text, text, bytea, interval, text, jsonb
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.finish_sign_in(
    uuid, text, text, text, text, bytea, interval, text, jsonb
) TO roost_gateway;

COMMENT ON FUNCTION roost.finish_sign_in(
    uuid, text, text, text, text, bytea, interval, text, jsonb
) IS
'Opens a session for a person whose password was right, and forgets the account''s failed attempts.
p_checked_hash is the hash that the password was checked against, p_password_hash one with newer
parameters to store instead or NULL; p_refresh_token_hash, p_lifetime and p_device are as for
roost.sign_up. Answers NULL when the password has changed in between. Errors: RO103, RO201 (no such
device of theirs), 23514 (a value does not fit).';
-- File: functions/sessions/forget_attempts.sql
-- What nobody came back to is forgotten in passing: an attempt makes at most two rows and removes
-- up to ten, so they can't pile up. Rows in use elsewhere are left to the next one. Called after
-- the charges, so that nobody waits for a row while holding the rows that go.
CREATE OR REPLACE FUNCTION roost.forget_attempts()
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM roost.login_attempts AS attempt
    USING (
        SELECT old.subject
        FROM roost.login_attempts AS old
        WHERE old.last_attempt_at < now() - interval '1 hour'
        ORDER BY old.last_attempt_at
        LIMIT 10
        FOR UPDATE SKIP LOCKED
    ) AS forgotten
    WHERE attempt.subject = forgotten.subject;
$$;

REVOKE ALL ON FUNCTION roost.forget_attempts() FROM PUBLIC;

COMMENT ON FUNCTION roost.forget_attempts() IS
'Deletes up to ten counters of attempts that are older than an hour.';
-- File: functions/sessions/list_sessions.sql
CREATE OR REPLACE FUNCTION api.list_sessions(
    page_size integer DEFAULT 50,
    before_id uuid DEFAULT NULL
)
RETURNS SETOF roost.session
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
BEGIN
    PERFORM roost.require_page_size(list_sessions.page_size);

    RETURN QUERY
    SELECT
        session.id,
        session.device_id,
        session.user_agent,
        session.id = roost.current_session_id(),
        session.last_activity,
        session.expires_at,
        session.created_at,
        session.revoked_at
    FROM roost.sessions AS session
    WHERE session.user_id = v_user_id
        AND session.revoked_at IS NULL
        AND session.expires_at > now()
        AND (list_sessions.before_id IS NULL OR session.id < list_sessions.before_id)
    ORDER BY session.id DESC
    LIMIT list_sessions.page_size;
END;
$$;

ALTER FUNCTION api.list_sessions(integer, uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.list_sessions(integer, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.list_sessions(integer, uuid) TO roost_user;

COMMENT ON FUNCTION api.list_sessions(integer, uuid) IS
'Lists the caller''s living sessions, newest first; current marks the one that asks.

Callers: signed-in people.
Arguments: page_size, 1 to 200 rows. before_id, id of the last row of the page before.
Returns: a list of sessions.
Errors: RO101, RO302 (page size).
Example: POST /rpc/list_sessions {}';
-- File: functions/sessions/open_session.sql
CREATE OR REPLACE FUNCTION roost.open_session(
    p_user roost.users,
    p_refresh_token_hash bytea,
    p_lifetime interval,
    p_user_agent text,
    p_device jsonb
)
RETURNS roost.signed_in
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_device roost.device_description := jsonb_populate_record(
        NULL::roost.device_description, coalesce(p_device, '{}')
    );
    v_session_id uuid;
BEGIN
    IF v_device.device_id IS NULL THEN
        INSERT INTO roost.devices AS device (
            user_id, device_name, device_type, platform, capabilities
        )
        VALUES (
            p_user.id,
            coalesce(v_device.device_name, ''),
            coalesce(v_device.device_type, 'other'),
            coalesce(v_device.platform, left(p_user_agent, 200)),
            coalesce(v_device.capabilities, '{}')
        )
        RETURNING device.id INTO v_device.device_id;
    ELSE
        -- Locks the device before the session is made. A revocation at the same moment has either
        -- committed, and the device is not active here, or waits and then ends the new session too.
        UPDATE roost.devices AS device
        SET device_name = coalesce(v_device.device_name, device.device_name),
            device_type = coalesce(v_device.device_type, device.device_type),
            platform = coalesce(v_device.platform, device.platform),
            capabilities = coalesce(v_device.capabilities, device.capabilities),
            last_seen = now()
        WHERE device.id = v_device.device_id
            AND device.user_id = p_user.id
            AND device.status = 'active';

        IF NOT FOUND THEN
            PERFORM roost.refuse_device(v_device.device_id);
        END IF;
    END IF;

    INSERT INTO roost.sessions AS session (
        user_id, device_id, refresh_token_hash, user_agent, expires_at
    )
    VALUES (
        p_user.id,
        v_device.device_id,
        p_refresh_token_hash,
        left(p_user_agent, 200),
        now() + p_lifetime
    )
    RETURNING session.id INTO v_session_id;

    RETURN (v_session_id, v_device.device_id, roost.describe_auth_user(p_user))::roost.signed_in;
END;
$$;

REVOKE ALL ON FUNCTION roost.open_session(roost.users, bytea, interval, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION roost.open_session(roost.users, bytea, interval, text, jsonb) IS
'Makes a session of a person who has proved who they are, on the device that p_device (a
roost.device_description as JSON) names, or on a new one. Errors: RO201 (no such device of
theirs).';
-- File: functions/sessions/refresh_session.sql
-- Decides under the lock of the session's row. Of requests that bring the same token at the same
-- moment (browser tabs, a retry after a lost answer) the first rotates it; the others wait, find it
-- to be the previous one, and are told that its successor stands. They can be given the same
-- successor again without its being stored, since the server derives it from the token presented.
-- A token that is neither the current one nor, within the grace, the one before has been used by
-- somebody else as well: the session, with all tokens of its family, is over for both.
CREATE OR REPLACE FUNCTION roost.refresh_session(
    p_session_id uuid,
    p_presented_hash bytea,
    p_successor_hash bytea,
    p_lifetime interval
)
RETURNS roost.refreshed
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_grace CONSTANT interval := interval '10 seconds';
    v_session roost.sessions;
    v_user roost.users;
    v_outcome roost.refresh_outcome;
    v_refreshed roost.refreshed;
BEGIN
    SELECT session.*
    INTO v_session
    FROM roost.sessions AS session
    WHERE session.id = p_session_id
    FOR UPDATE;

    SELECT account.*
    INTO v_user
    FROM roost.users AS account
    WHERE account.id = v_session.user_id;

    -- Only to whoever holds the token: to others the session is unknown.
    IF v_session.refresh_token_hash = p_presented_hash THEN
        PERFORM roost.require_active_account(v_user.status);
    END IF;

    CASE
        WHEN v_session.id IS NULL
            OR v_session.revoked_at IS NOT NULL
            OR v_session.expires_at <= clock_timestamp()
        THEN
            v_outcome := 'unknown';
        WHEN v_session.refresh_token_hash = p_presented_hash THEN
            v_outcome := 'rotated';
        WHEN v_session.previous_refresh_token_hash = p_presented_hash
            AND v_session.refresh_token_hash = p_successor_hash
            AND v_session.refreshed_at > clock_timestamp() - c_grace
        THEN
            v_outcome := 'repeated';
        ELSE
            v_outcome := 'replayed';
    END CASE;

    IF v_outcome = 'rotated' THEN
        UPDATE roost.sessions AS session
        SET refresh_token_hash = p_successor_hash,
            previous_refresh_token_hash = p_presented_hash,
            refreshed_at = clock_timestamp(),
            last_activity = now(),
            expires_at = now() + p_lifetime
        WHERE session.id = p_session_id;

        -- Everyone else locks a device before its sessions. Here it is the other way round, so this
        -- does not wait: whoever holds the row writes it.
        UPDATE roost.devices AS device
        SET last_seen = now()
        FROM (
            SELECT free.id
            FROM roost.devices AS free
            WHERE free.id = v_session.device_id
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS own
        WHERE device.id = own.id;
    ELSIF v_outcome = 'replayed' THEN
        UPDATE roost.sessions AS session
        SET revoked_at = now()
        WHERE session.id = p_session_id;
    END IF;

    v_refreshed.outcome := v_outcome;

    IF v_outcome IN ('rotated', 'repeated') THEN
        v_refreshed.session :=
            (v_session.id, v_session.device_id, roost.describe_auth_user(v_user))::roost.signed_in;
    END IF;

    RETURN v_refreshed;
END;
$$;

REVOKE ALL ON FUNCTION roost.refresh_session(uuid, bytea, bytea, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.refresh_session(uuid, bytea, bytea, interval) TO roost_gateway;

COMMENT ON FUNCTION roost.refresh_session(uuid, bytea, bytea, interval) IS
'Rotates a refresh token: the hashes are those of the secret half presented and of its successor.
Answers the outcome: rotated, repeated (presented again within 10 s: the same successor stands),
replayed (the session is revoked now: RO105) or unknown (RO104); with the session for the first two.
Errors: RO103.';
-- File: functions/sessions/refuse_session.sql
-- Says why a session is not accepted. Apart from begin_call, so that the path of every call is
-- short.
CREATE OR REPLACE FUNCTION roost.refuse_session(p_session_id uuid)
RETURNS void
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_status roost.user_status;
BEGIN
    SELECT account.status
    INTO v_status
    FROM roost.sessions AS session
    JOIN roost.users AS account ON account.id = session.user_id
    WHERE session.id = p_session_id;

    -- NULL, for a session that never was, passes.
    PERFORM roost.require_active_account(v_status);

    RAISE EXCEPTION USING
        ERRCODE = 'RO102',
        MESSAGE = 'The session is over.',
        DETAIL = 'It was ended, has expired or never existed.',
        HINT = 'Sign in again.';
END;
$$;

REVOKE ALL ON FUNCTION roost.refuse_session(uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.refuse_session(uuid) IS
'Raises RO103 when the account of a session is not active, RO102 otherwise.';
-- File: functions/sessions/require_active_account.sql
CREATE OR REPLACE FUNCTION roost.require_active_account(p_status roost.user_status)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_status <> 'active' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO103',
            MESSAGE = 'The account is not active.',
            DETAIL = format('Its state is %s.', p_status),
            HINT = 'Ask the operator of this server.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_active_account(roost.user_status) FROM PUBLIC;

COMMENT ON FUNCTION roost.require_active_account(roost.user_status) IS
'Raises RO103 for an account that is suspended or closed.';
-- File: functions/sessions/require_user.sql
CREATE OR REPLACE FUNCTION roost.require_user()
RETURNS uuid
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.current_user_id();
BEGIN
    IF v_user_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO101',
            MESSAGE = 'This call needs a signed-in person.',
            HINT = 'Sign in, and send the access token as "Authorization: Bearer <token>".';
    END IF;

    RETURN v_user_id;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_user() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_user() TO roost_api;

COMMENT ON FUNCTION roost.require_user() IS
'The signed-in person. Raises RO101 when there is none, as for a trusted service.';
-- File: functions/sessions/revoke_session.sql
CREATE OR REPLACE FUNCTION api.revoke_session(session_id uuid)
RETURNS roost.session
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_user_id uuid := roost.require_user();
    v_session roost.session;
BEGIN
    UPDATE roost.sessions AS session
    SET revoked_at = coalesce(session.revoked_at, now())
    WHERE session.id = revoke_session.session_id AND session.user_id = v_user_id
    RETURNING
        session.id,
        session.device_id,
        session.user_agent,
        session.id = roost.current_session_id(),
        session.last_activity,
        session.expires_at,
        session.created_at,
        session.revoked_at
    INTO v_session;

    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO201',
            MESSAGE = 'You have no such session.',
            DETAIL = format('Session: %s', coalesce(revoke_session.session_id::text, 'null')),
            HINT = 'Send the id of a session from list_sessions.';
    END IF;

    RETURN v_session;
END;
$$;

ALTER FUNCTION api.revoke_session(uuid) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.revoke_session(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.revoke_session(uuid) TO roost_user;

COMMENT ON FUNCTION api.revoke_session(uuid) IS
'Ends one of the caller''s sessions and closes its sockets. Ending one that is over changes nothing.

Callers: signed-in people.
Arguments: session_id, from list_sessions; the calling session may be named too.
Returns: the session, an object.
Errors: RO101, RO201 (not your session).
Example: POST /rpc/revoke_session {"session_id": "<id>"}';
-- File: functions/sessions/revoke_sessions.sql
-- Lock order. Every transaction locks rows in this order, so that no two can wait for each other:
--
--     1. login_attempts: the account's, then the address's
--     2. users
--     3. conversations
--     4. devices, by id
--     5. realtime.topics, by name: device:<id>, then user:<id>
--     6. sessions, by id
--     7. extension_connections
--
-- So what is published about a device is published before sessions are touched, and nothing that
-- holds a session takes anything but sessions and connections. Whoever comes from the wrong side
-- does not wait: SKIP LOCKED (refresh_session). A foreign key locks the row that it points to FOR
-- KEY SHARE, which waits only for somebody who deletes that row, changes its key or has it FOR
-- UPDATE.
--
-- Here: two that end overlapping sets (sign-out everywhere from two devices) can't wait for each
-- other.
CREATE OR REPLACE FUNCTION roost.revoke_sessions(
    p_user_id uuid,
    p_device_id uuid DEFAULT NULL,
    p_except uuid DEFAULT NULL
)
RETURNS void
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH living AS (
        SELECT session.id
        FROM roost.sessions AS session
        WHERE session.user_id = p_user_id
            AND (p_device_id IS NULL OR session.device_id = p_device_id)
            AND session.id IS DISTINCT FROM p_except
            AND session.revoked_at IS NULL
        ORDER BY session.id
        FOR NO KEY UPDATE
    )
    UPDATE roost.sessions AS session
    SET revoked_at = now()
    FROM living
    WHERE session.id = living.id;
$$;

REVOKE ALL ON FUNCTION roost.revoke_sessions(uuid, uuid, uuid) FROM PUBLIC;

COMMENT ON FUNCTION roost.revoke_sessions(uuid, uuid, uuid) IS
'Ends a person''s living sessions: all of them, or those on p_device_id, but not p_except.';
-- File: functions/system/get_error_codes.sql
CREATE OR REPLACE FUNCTION roost.get_error_codes()
RETURNS TABLE (code text, name text, http_status smallint)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT error_code.code, error_code.name, error_code.http_status
    FROM roost.error_codes AS error_code
    ORDER BY error_code.code;
$$;

REVOKE ALL ON FUNCTION roost.get_error_codes() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_error_codes() TO roost_gateway;

COMMENT ON FUNCTION roost.get_error_codes() IS
'The domain errors with their HTTP statuses, for the server to read when it starts.';
-- File: functions/system/get_migration_checksums.sql
CREATE OR REPLACE FUNCTION roost.get_migration_checksums()
RETURNS TABLE (id text, kind text, sha256 text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT checksum.id, checksum.kind, checksum.sha256
    FROM roost.migration_checksums AS checksum
    ORDER BY checksum.id;
$$;

REVOKE ALL ON FUNCTION roost.get_migration_checksums() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_migration_checksums() TO roost_gateway;

COMMENT ON FUNCTION roost.get_migration_checksums() IS
'What has been applied to this database, for a server to compare with its own files.';
-- File: functions/system/get_server_secret.sql
CREATE OR REPLACE FUNCTION roost.get_server_secret(p_name text)
RETURNS text
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT secret.value FROM roost.server_secrets AS secret WHERE secret.name = p_name;
$$;

REVOKE ALL ON FUNCTION roost.get_server_secret(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.get_server_secret(text) TO roost_gateway;

COMMENT ON FUNCTION roost.get_server_secret(text) IS
'The key that the servers of this database share for one purpose. For the gateway alone.';
-- File: functions/system/merge_keys.sql
CREATE OR REPLACE FUNCTION roost.merge_keys(p_old jsonb, p_patch roost.json_object)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN p_patch IS NULL THEN p_old
        ELSE (p_old || p_patch) - ARRAY(
            SELECT entry.key FROM jsonb_each(p_patch) AS entry WHERE entry.value = 'null'
        )
    END;
$$;

REVOKE ALL ON FUNCTION roost.merge_keys(jsonb, roost.json_object) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.merge_keys(jsonb, roost.json_object) TO roost_api;

COMMENT ON FUNCTION roost.merge_keys(jsonb, roost.json_object) IS
'Lays the keys of p_patch over those of p_old; a key whose value is null is removed. Only the first
level is merged. NULL for p_patch changes nothing.';
-- File: functions/system/ping.sql
CREATE OR REPLACE FUNCTION api.ping()
RETURNS text
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'pong';
$$;

ALTER FUNCTION api.ping() OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.ping() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.ping() TO roost_anon, roost_user, roost_service;

COMMENT ON FUNCTION api.ping() IS
'Answers "pong": the server, the database and the token in between are in order.

Callers: everyone.
Returns: text.
Errors: RO102 when a token is sent whose session is over.
Example: POST /rpc/ping {}';
-- File: functions/system/require_page_size.sql
CREATE OR REPLACE FUNCTION roost.require_page_size(p_page_size integer)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_page_size IS NULL OR p_page_size NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RO302',
            MESSAGE = 'The page size is out of range.',
            DETAIL = format('page_size: %s', coalesce(p_page_size::text, 'null')),
            HINT = 'Send a page_size from 1 to 200, or leave it out.';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_page_size(integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_page_size(integer) TO roost_api;

COMMENT ON FUNCTION roost.require_page_size(integer) IS
'Raises RO302 unless a page has 1 to 200 rows, which bounds what one call reads.';
-- File: functions/system/require_row_count.sql
-- Wraps the answer of a call for which the client set a bound on the number of rows. Raised inside
-- the call's transaction, so that a refused answer has changed nothing. The form of the error is
-- PostgREST's: SQLSTATE PGRST with the body in MESSAGE and the status in DETAIL.
CREATE OR REPLACE FUNCTION roost.require_row_count(p_rows bigint, p_single boolean, p_most bigint)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_single AND p_rows <> 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PGRST',
            MESSAGE = json_build_object(
                'code', 'PGRST116',
                'message', 'Cannot coerce the result to a single JSON object',
                'details', format('The result contains %s rows', p_rows),
                'hint', 'Ask for application/json to get a list.'
            ),
            DETAIL = '{"status": 406, "headers": {}}';
    ELSIF p_rows > p_most THEN
        RAISE EXCEPTION USING
            ERRCODE = 'PGRST',
            MESSAGE = json_build_object(
                'code', 'PGRST124',
                'message', 'Query result exceeds max-affected preference constraint',
                'details', format('The query affects %s rows', p_rows),
                'hint', 'Send a larger max-affected, or call for less.'
            ),
            DETAIL = '{"status": 400, "headers": {}}';
    END IF;
END;
$$;

REVOKE ALL ON FUNCTION roost.require_row_count(bigint, boolean, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.require_row_count(bigint, boolean, bigint)
TO roost_anon, roost_user, roost_service;

COMMENT ON FUNCTION roost.require_row_count(bigint, boolean, bigint) IS
'Refuses an answer that is not exactly one row (p_single) or has more than p_most rows.';
-- File: functions/system/set_updated_at.sql
-- For every table that has the column; its triggers are in db/triggers/.
CREATE OR REPLACE FUNCTION roost.set_updated_at()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

REVOKE ALL ON FUNCTION roost.set_updated_at() FROM PUBLIC;

COMMENT ON FUNCTION roost.set_updated_at() IS
'Trigger: writes the time of the transaction into updated_at.';
-- File: triggers/conversations.sql
-- Not for last_seq and last_activity: every message writes those.
CREATE OR REPLACE TRIGGER conversations_set_updated_at
BEFORE UPDATE OF title, workspace_path, metadata ON roost.conversations
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();
-- File: triggers/devices.sql
CREATE OR REPLACE TRIGGER devices_set_updated_at
BEFORE UPDATE ON roost.devices
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

-- Whoever opens a session or a connection on a device locks the device's row first, so none comes
-- after this.
CREATE OR REPLACE FUNCTION roost.end_use_of_device()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.revoke_sessions(NEW.user_id, p_device_id => NEW.id);

    UPDATE roost.extension_connections AS connection
    SET state = 'closed',
        closed_at = now()
    WHERE connection.device_id = NEW.id
        AND connection.user_id = NEW.user_id
        AND connection.state <> 'closed';

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_use_of_device() FROM PUBLIC;

COMMENT ON FUNCTION roost.end_use_of_device() IS
'Trigger: a revoked device has no living session and no open extension connection.';

CREATE OR REPLACE TRIGGER devices_end_use
AFTER UPDATE OF status ON roost.devices
FOR EACH ROW
WHEN (OLD.status = 'active' AND NEW.status = 'revoked')
EXECUTE FUNCTION roost.end_use_of_device();
-- File: triggers/messages.sql
CREATE OR REPLACE TRIGGER messages_set_updated_at
BEFORE UPDATE ON roost.messages
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();
-- File: triggers/sessions.sql
-- However a session ends (sign-out, a revoked device, a closed account, an operator in psql), its
-- sockets are closed.
CREATE OR REPLACE FUNCTION roost.close_sockets_of_session()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM realtime.wake(format('!session:%s', OLD.id));
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.close_sockets_of_session() FROM PUBLIC;

COMMENT ON FUNCTION roost.close_sockets_of_session() IS
'Trigger: tells the relays to close the sockets of a session that has ended.';

CREATE OR REPLACE TRIGGER sessions_close_sockets_on_revoke
AFTER UPDATE OF revoked_at ON roost.sessions
FOR EACH ROW
WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
EXECUTE FUNCTION roost.close_sockets_of_session();

CREATE OR REPLACE TRIGGER sessions_close_sockets_on_delete
AFTER DELETE ON roost.sessions
FOR EACH ROW
WHEN (OLD.revoked_at IS NULL)
EXECUTE FUNCTION roost.close_sockets_of_session();
-- File: triggers/users.sql
CREATE OR REPLACE TRIGGER users_set_updated_at
BEFORE UPDATE ON roost.users
FOR EACH ROW
WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION roost.set_updated_at();

-- A sign-in or an update of the person waits for this row's lock, so no session comes after it.
CREATE OR REPLACE FUNCTION roost.end_sessions_of_user()
RETURNS trigger
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM roost.revoke_sessions(NEW.id);
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.end_sessions_of_user() FROM PUBLIC;

COMMENT ON FUNCTION roost.end_sessions_of_user() IS
'Trigger: an account that is no longer active has no sessions.';

CREATE OR REPLACE TRIGGER users_end_sessions
AFTER UPDATE OF status ON roost.users
FOR EACH ROW
WHEN (OLD.status = 'active' AND NEW.status <> 'active')
EXECUTE FUNCTION roost.end_sessions_of_user();
