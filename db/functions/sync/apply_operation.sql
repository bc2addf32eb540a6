-- What a call of the function with these arguments would do, no more and no less: the same function
-- checks, writes and publishes. An argument that is left out takes the same default.
CREATE OR REPLACE FUNCTION roost.apply_operation(p_kind text, p_args jsonb)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_args record;
    v_result jsonb;
BEGIN
    SELECT sent.*
    INTO STRICT v_args
    FROM jsonb_to_record(p_args) AS sent (
        id uuid, conversation_id uuid, message_id uuid, parent_message_id uuid, user_id uuid,
        content jsonb, metadata jsonb, attachments jsonb, message_type text, reaction text,
        up_to_seq bigint, based_on_version bigint, title text, participants uuid[],
        workspace_path text, search_language text, role text,
        history roost.history_scope, display_name text, preferences jsonb, security_settings jsonb,
        workspace_id uuid, name text, path text, settings jsonb, file_id uuid, folder_id uuid,
        base_version bigint, seen_offset bigint
    );

    CASE p_kind
        WHEN 'send_message' THEN
            v_result := to_jsonb(api.send_message(
                v_args.conversation_id,
                v_args.content,
                coalesce(v_args.message_type, 'text'),
                coalesce(v_args.metadata, '{}'::jsonb),
                v_args.parent_message_id,
                v_args.id,
                coalesce(v_args.attachments, '[]'::jsonb)
            ));
        WHEN 'edit_message' THEN
            v_result := to_jsonb(api.edit_message(
                v_args.message_id, v_args.content, v_args.based_on_version, v_args.metadata
            ));
        WHEN 'delete_message' THEN
            v_result := to_jsonb(api.delete_message(v_args.message_id));
        WHEN 'restore_message' THEN
            v_result := to_jsonb(api.restore_message(v_args.message_id));
        WHEN 'add_reaction' THEN
            v_result := to_jsonb(api.add_reaction(v_args.message_id, v_args.reaction));
        WHEN 'remove_reaction' THEN
            v_result := to_jsonb(api.remove_reaction(v_args.message_id, v_args.reaction));
        WHEN 'mark_read' THEN
            v_result := to_jsonb(api.mark_read(v_args.conversation_id, v_args.up_to_seq));
        WHEN 'create_conversation' THEN
            v_result := to_jsonb(api.create_conversation(
                coalesce(v_args.title, ''),
                coalesce(v_args.participants, '{}'::uuid[]),
                coalesce(v_args.workspace_path, ''),
                coalesce(v_args.metadata, '{}'::jsonb),
                v_args.id,
                v_args.workspace_id
            ));
        WHEN 'update_conversation' THEN
            v_result := to_jsonb(api.update_conversation(
                v_args.conversation_id, v_args.title, v_args.workspace_path, v_args.metadata,
                v_args.search_language, v_args.workspace_id
            ));
        WHEN 'archive_conversation' THEN
            v_result := to_jsonb(api.archive_conversation(v_args.conversation_id));
        WHEN 'unarchive_conversation' THEN
            v_result := to_jsonb(api.unarchive_conversation(v_args.conversation_id));
        WHEN 'add_participant' THEN
            v_result := to_jsonb(api.add_participant(
                v_args.conversation_id,
                v_args.user_id,
                coalesce(v_args.role::roost.participant_role, 'member'::roost.participant_role),
                coalesce(v_args.history, 'all'::roost.history_scope)
            ));
        WHEN 'remove_participant' THEN
            v_result := to_jsonb(api.remove_participant(v_args.conversation_id, v_args.user_id));
        WHEN 'leave_conversation' THEN
            v_result := to_jsonb(api.leave_conversation(v_args.conversation_id));
        WHEN 'update_me' THEN
            v_result := to_jsonb(api.update_me(
                v_args.display_name, v_args.preferences, v_args.security_settings
            ));
        WHEN 'create_workspace' THEN
            v_result := to_jsonb(api.create_workspace(
                v_args.name, v_args.path, coalesce(v_args.settings, '{}'::jsonb), v_args.id
            ));
        WHEN 'update_workspace' THEN
            v_result := to_jsonb(api.update_workspace(
                v_args.workspace_id, v_args.name, v_args.path, v_args.settings
            ));
        WHEN 'delete_workspace' THEN
            v_result := to_jsonb(api.delete_workspace(v_args.workspace_id));
        WHEN 'touch_workspace' THEN
            v_result := to_jsonb(api.touch_workspace(v_args.workspace_id));
        WHEN 'add_workspace_member' THEN
            v_result := to_jsonb(api.add_workspace_member(
                v_args.workspace_id,
                v_args.user_id,
                coalesce(v_args.role::roost.workspace_role, 'viewer'::roost.workspace_role)
            ));
        WHEN 'update_workspace_member' THEN
            v_result := to_jsonb(api.update_workspace_member(
                v_args.workspace_id, v_args.user_id, v_args.role::roost.workspace_role
            ));
        WHEN 'remove_workspace_member' THEN
            v_result := to_jsonb(
                api.remove_workspace_member(v_args.workspace_id, v_args.user_id)
            );
        WHEN 'leave_workspace' THEN
            v_result := to_jsonb(api.leave_workspace(v_args.workspace_id));
        WHEN 'make_folder' THEN
            v_result := to_jsonb(api.make_folder(v_args.workspace_id, v_args.path));
        WHEN 'move_file' THEN
            v_result := to_jsonb(api.move_file(
                v_args.file_id, v_args.path, v_args.folder_id, v_args.name
            ));
        WHEN 'copy_file' THEN
            v_result := to_jsonb(api.copy_file(v_args.file_id, v_args.path));
        WHEN 'delete_file' THEN
            v_result := to_jsonb(api.delete_file(
                v_args.file_id, v_args.base_version, v_args.seen_offset
            ));
        WHEN 'restore_file' THEN
            v_result := to_jsonb(api.restore_file(v_args.file_id, v_args.path));
    END CASE;

    RETURN v_result;
END;
$$;

REVOKE ALL ON FUNCTION roost.apply_operation(text, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.apply_operation(text, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.apply_operation(text, jsonb) IS
'Calls the function that an operation names, and answers what it answers. Raises what it raises.';
