SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Conflicts about what goes.
DELETE FROM roost.sync_conflicts WHERE target_kind = 'file';

ALTER TABLE roost.sync_conflicts
DROP CONSTRAINT sync_conflicts_target_kind_is_known,
ADD CONSTRAINT sync_conflicts_target_kind_is_known
CHECK (target_kind IN ('message', 'conversation', 'account', 'workspace')),
DROP CONSTRAINT sync_conflicts_has_an_operation,
ADD CONSTRAINT sync_conflicts_has_an_operation
CHECK (num_nonnulls(operation_id, offline_operation_id) = 1);

COMMENT ON COLUMN roost.sync_conflicts.target_kind IS
'message, conversation, account or workspace.';

-- CASCADE: the functions that name these come and go with the files below db/functions.
ALTER TYPE roost.conversation DROP ATTRIBUTE workspace_id CASCADE;

DROP TYPE roost.walked_file CASCADE;

DROP TYPE roost.workspace_diff CASCADE;

DROP TYPE roost.file_check CASCADE;

DROP TYPE roost.file_comparison CASCADE;

DROP TYPE roost.file_version CASCADE;

DROP TYPE roost.put_outcome CASCADE;

DROP TYPE roost.file_outcome CASCADE;

DROP TYPE roost.file CASCADE;

DROP TABLE roost.file_versions CASCADE;

DROP TABLE roost.file_sync_state CASCADE;

DROP TYPE roost.file_sync_status CASCADE;

DROP TYPE roost.file_kind CASCADE;

DROP FUNCTION roost.fold_name(text) CASCADE;

ALTER TABLE roost.conversations DROP COLUMN workspace_id CASCADE;

-- Those that nobody is in any more.
DELETE FROM roost.workspaces WHERE deleted_at IS NOT NULL;

ALTER TABLE roost.workspaces DROP COLUMN deleted_at CASCADE;

CREATE OR REPLACE FUNCTION roost.owns_workspace(p_workspace_id uuid)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM roost.workspaces AS workspace
        WHERE workspace.id = p_workspace_id
            AND workspace.user_id = (SELECT roost.current_user_id())
    );
$$;

DELETE FROM roost.error_codes WHERE code IN ('RO310', 'RO311');

DELETE FROM roost.migration_checksums WHERE id = '0034.files';
