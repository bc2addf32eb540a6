SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Conflicts about what goes.
DELETE FROM roost.sync_conflicts WHERE target_kind = 'workspace';

ALTER TABLE roost.sync_conflicts
DROP CONSTRAINT sync_conflicts_target_kind_is_known;

ALTER TABLE roost.sync_conflicts
ADD CONSTRAINT sync_conflicts_target_kind_is_known
CHECK (target_kind IN ('message', 'conversation', 'account'));

COMMENT ON COLUMN roost.sync_conflicts.target_kind IS 'message, conversation or account.';

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TYPE roost.workspace_member CASCADE;

DROP TYPE roost.shared_workspace CASCADE;

DROP TYPE roost.workspace CASCADE;

DROP FUNCTION roost.own_workspace_role(uuid) CASCADE;

DROP FUNCTION roost.owns_workspace(uuid) CASCADE;

DROP TABLE roost.workspace_members CASCADE;

DROP TABLE roost.workspaces CASCADE;

DROP TYPE roost.workspace_role CASCADE;

DROP FUNCTION roost.hash_path(text) CASCADE;

-- Their events stay, as those of other topics that are gone, until they are past retention.
DELETE FROM roost.migration_checksums WHERE id = '0032.workspaces';
