-- depends: 0029.message_change_index
-- What devices did while they were offline, sent afterwards: each operation once, and what to do
-- where somebody else was there first.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

INSERT INTO roost.error_codes (code, name, http_status, meaning) VALUES
('RO306', 'operation_deferred', 409, 'It depends on an operation that was not applied.'),
('RO307', 'operation_missing', 409, 'An operation of the device before it has not come.');

CREATE TYPE roost.operation_outcome AS ENUM (
    'applied', 'duplicate', 'conflict', 'rejected', 'deferred'
);

CREATE TYPE roost.conflict_policy AS ENUM (
    'last_write_wins', 'server_wins', 'client_wins', 'merge', 'manual'
);

CREATE TYPE roost.conflict_state AS ENUM ('open', 'resolved');

CREATE TYPE roost.conflict_strategy AS ENUM ('mine', 'theirs', 'merged');

-- Stays as long as the device: however late a device sends something again, it is known here.
-- Locked by whoever applies a batch, so that two batches of one device come one after the other.
CREATE TABLE roost.sync_devices (
    device_id uuid NOT NULL,
    user_id uuid NOT NULL,
    last_operation_id bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    offline_due_at timestamptz,
    offline_done bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 0,
    -- Serves the foreign key too.
    CONSTRAINT sync_devices_pkey PRIMARY KEY (device_id, user_id),
    CONSTRAINT sync_devices_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT sync_devices_last_operation_id_counts_up CHECK (last_operation_id >= 0)
);

COMMENT ON TABLE roost.sync_devices IS 'How far the operations of each device have been taken.';

COMMENT ON COLUMN roost.sync_devices.device_id IS 'The device.';

COMMENT ON COLUMN roost.sync_devices.user_id IS 'Whose device it is.';

COMMENT ON COLUMN roost.sync_devices.last_operation_id IS
'Id of its last operation that was taken, whatever became of it: one up to here is never applied
again.';

COMMENT ON COLUMN roost.sync_devices.updated_at IS 'When it last sent operations.';

COMMENT ON COLUMN roost.sync_devices.offline_due_at IS
'From when on its queue of offline_operations is to be looked at; empty where nothing is pending.';

COMMENT ON COLUMN roost.sync_devices.offline_done IS
'How many of these operations were worked on since nothing was due the last time.';

COMMENT ON COLUMN roost.sync_devices.generation IS
'How often it has begun anew by reset_changes: cursors from before are refused.';

-- One row a device, and not one an operation: who looks for work passes over a long queue that
-- somebody else works on with one step.
CREATE INDEX sync_devices_offline_due_at_idx
ON roost.sync_devices (offline_due_at) WHERE offline_due_at IS NOT NULL;

CREATE TABLE roost.sync_operations (
    device_id uuid NOT NULL,
    user_id uuid NOT NULL,
    operation_id bigint NOT NULL,
    kind text NOT NULL,
    target_id uuid,
    base_version bigint,
    policy roost.conflict_policy,
    args jsonb,
    body_hash bytea NOT NULL,
    outcome roost.operation_outcome NOT NULL,
    code text,
    message text,
    details text,
    hint text,
    conflict_id uuid,
    result jsonb,
    queued_at timestamptz,
    applied_at timestamptz NOT NULL DEFAULT now(),
    took_ms double precision NOT NULL DEFAULT 0,
    -- Guards an operation that is taken twice, beside the lock on the row of sync_devices. Serves
    -- the foreign key, and the list of a device's operations.
    CONSTRAINT sync_operations_pkey PRIMARY KEY (device_id, user_id, operation_id),
    CONSTRAINT sync_operations_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT sync_operations_operation_id_counts_up CHECK (operation_id >= 1),
    CONSTRAINT sync_operations_kind_fits CHECK (char_length(kind) <= 64),
    CONSTRAINT sync_operations_args_fits CHECK (roost.json_fits(args, 524288)),
    CONSTRAINT sync_operations_result_fits CHECK (roost.json_fits(result, 8192)),
    CONSTRAINT sync_operations_errors_fit CHECK (
        char_length(code) <= 5
        AND char_length(message) <= 1000
        AND char_length(details) <= 1000
        AND char_length(hint) <= 1000
    ),
    CONSTRAINT sync_operations_outcome_is_the_first CHECK (outcome <> 'duplicate'),
    CONSTRAINT sync_operations_failed_has_a_code
    CHECK ((outcome = 'applied') = (code IS NULL))
);

COMMENT ON TABLE roost.sync_operations IS
'Operations that devices have pushed, and what became of them; for 30 days.';

COMMENT ON COLUMN roost.sync_operations.device_id IS 'The device.';

COMMENT ON COLUMN roost.sync_operations.user_id IS 'Whose device it is.';

COMMENT ON COLUMN roost.sync_operations.operation_id IS
'What the device has counted: 1, 2, 3.';

COMMENT ON COLUMN roost.sync_operations.kind IS 'The function that it calls.';

COMMENT ON COLUMN roost.sync_operations.target_id IS
'What it makes or changes; empty where it does not say.';

COMMENT ON COLUMN roost.sync_operations.base_version IS
'Version of the target that the device had; empty where it does not say.';

COMMENT ON COLUMN roost.sync_operations.policy IS
'What was to be done where somebody else was there first; empty where it could not be read.';

COMMENT ON COLUMN roost.sync_operations.args IS
'Its arguments, where they are not what was done: it failed, or was merged with something.';

COMMENT ON COLUMN roost.sync_operations.body_hash IS
'SHA-256 of the whole operation, to know the same again.';

COMMENT ON COLUMN roost.sync_operations.outcome IS 'What became of it.';

COMMENT ON COLUMN roost.sync_operations.code IS
'Code of the error where it was not applied, as a call would have answered it.';

COMMENT ON COLUMN roost.sync_operations.message IS 'Message of the error.';

COMMENT ON COLUMN roost.sync_operations.details IS 'Details of the error.';

COMMENT ON COLUMN roost.sync_operations.hint IS 'What to do about it.';

COMMENT ON COLUMN roost.sync_operations.conflict_id IS
'The conflict that it met, which may be gone.';

COMMENT ON COLUMN roost.sync_operations.result IS
'Of what the function answered, the ids and numbers: nothing that a deletion would have to find.';

COMMENT ON COLUMN roost.sync_operations.queued_at IS
'When it was done on the device, by its clock; empty where it does not say.';

COMMENT ON COLUMN roost.sync_operations.applied_at IS 'When it was taken.';

COMMENT ON COLUMN roost.sync_operations.took_ms IS 'How long that took, in milliseconds.';

-- What the device did to the same thing before.
CREATE INDEX sync_operations_target_idx
ON roost.sync_operations (device_id, target_id, operation_id);

-- A list of what failed, which is little among much. Not by the outcome: row-level security lets an
-- index compare only what is known to keep secrets while it does, and enums are not.
CREATE INDEX sync_operations_failed_idx
ON roost.sync_operations (device_id, user_id, operation_id) WHERE code IS NOT NULL;

-- For a message that is deleted for good.
CREATE INDEX sync_operations_kept_args_idx
ON roost.sync_operations (target_id) WHERE args IS NOT NULL;

-- Serves roost.expire_sync_operations.
CREATE INDEX sync_operations_applied_at_idx ON roost.sync_operations (applied_at);

CREATE TABLE roost.sync_conflicts (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    device_id uuid NOT NULL,
    operation_id bigint,
    offline_operation_id uuid,
    kind text NOT NULL,
    policy roost.conflict_policy NOT NULL,
    target_kind text NOT NULL,
    target_id uuid NOT NULL,
    args jsonb NOT NULL,
    base jsonb,
    mine jsonb,
    theirs jsonb,
    hunks jsonb NOT NULL DEFAULT '[]',
    state roost.conflict_state NOT NULL DEFAULT 'open',
    strategy roost.conflict_strategy,
    resolution jsonb,
    resolved_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    CONSTRAINT sync_conflicts_has_an_operation
    CHECK (num_nonnulls(operation_id, offline_operation_id) = 1),
    CONSTRAINT sync_conflicts_kind_fits CHECK (char_length(kind) <= 64),
    CONSTRAINT sync_conflicts_target_kind_is_known
    CHECK (target_kind IN ('message', 'conversation', 'account')),
    CONSTRAINT sync_conflicts_args_fits CHECK (roost.json_fits(args, 524288)),
    CONSTRAINT sync_conflicts_base_fits CHECK (roost.json_fits(base, 524288)),
    CONSTRAINT sync_conflicts_mine_fits CHECK (roost.json_fits(mine, 524288)),
    CONSTRAINT sync_conflicts_theirs_fits CHECK (roost.json_fits(theirs, 524288)),
    CONSTRAINT sync_conflicts_hunks_fits CHECK (roost.json_fits(hunks, 8388608)),
    CONSTRAINT sync_conflicts_resolution_fits CHECK (roost.json_fits(resolution, 524288)),
    CONSTRAINT sync_conflicts_resolved_says_how CHECK (
        (state = 'resolved') = (strategy IS NOT NULL)
        AND (state = 'resolved') = (resolved_at IS NOT NULL)
    )
);

COMMENT ON TABLE roost.sync_conflicts IS
'Operations that met what somebody else had done, for a person to decide.';

COMMENT ON COLUMN roost.sync_conflicts.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.sync_conflicts.user_id IS 'Whose operation it was.';

COMMENT ON COLUMN roost.sync_conflicts.device_id IS 'On which device, which may be gone.';

COMMENT ON COLUMN roost.sync_conflicts.operation_id IS
'The operation, where it was pushed.';

COMMENT ON COLUMN roost.sync_conflicts.offline_operation_id IS
'The operation, where it was enqueued; it may be gone.';

COMMENT ON COLUMN roost.sync_conflicts.kind IS 'The function that it was to call.';

COMMENT ON COLUMN roost.sync_conflicts.policy IS 'By which policy it is here.';

COMMENT ON COLUMN roost.sync_conflicts.target_kind IS 'message, conversation or account.';

COMMENT ON COLUMN roost.sync_conflicts.target_id IS 'Which one.';

COMMENT ON COLUMN roost.sync_conflicts.args IS 'The arguments of the operation.';

COMMENT ON COLUMN roost.sync_conflicts.base IS
'What the operation was based on; empty where it is not known.';

COMMENT ON COLUMN roost.sync_conflicts.mine IS
'What the operation made of it; empty for a deletion.';

COMMENT ON COLUMN roost.sync_conflicts.theirs IS
'What was there when it came; empty where it had been deleted.';

COMMENT ON COLUMN roost.sync_conflicts.hunks IS
'Where the two can not be merged: a list, as roost.merge_json makes it.';

COMMENT ON COLUMN roost.sync_conflicts.state IS 'Whether it is decided.';

COMMENT ON COLUMN roost.sync_conflicts.strategy IS 'How; empty while it is not.';

COMMENT ON COLUMN roost.sync_conflicts.resolution IS
'What was put in place by the strategy merged.';

COMMENT ON COLUMN roost.sync_conflicts.resolved_by IS
'On which device it was decided, which may be gone; empty while it is not.';

COMMENT ON COLUMN roost.sync_conflicts.created_at IS 'When the operation came.';

COMMENT ON COLUMN roost.sync_conflicts.resolved_at IS
'When it was decided; empty while it is not.';

COMMENT ON CONSTRAINT sync_conflicts_resolution_fits ON roost.sync_conflicts IS
'Send at most 512 KiB of JSON.';

-- Serves the foreign key and the list of all conflicts.
CREATE INDEX sync_conflicts_user_id_idx ON roost.sync_conflicts (user_id, id);

-- The list of those that are to be decided, which are few among many.
CREATE INDEX sync_conflicts_open_idx
ON roost.sync_conflicts (user_id, id) WHERE resolved_at IS NULL;

-- For a message that is deleted for good.
CREATE INDEX sync_conflicts_target_idx ON roost.sync_conflicts (target_id);

-- Serves roost.expire_sync_operations.
CREATE INDEX sync_conflicts_resolved_at_idx
ON roost.sync_conflicts (resolved_at) WHERE resolved_at IS NOT NULL;

ALTER TABLE roost.sync_devices ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.sync_operations ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.sync_conflicts ENABLE ROW LEVEL SECURITY;

-- A device counts for itself; what became of operations all devices of the person see.
CREATE POLICY sync_devices_select_own ON roost.sync_devices
FOR SELECT TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

CREATE POLICY sync_devices_insert_own ON roost.sync_devices
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

CREATE POLICY sync_devices_update_own ON roost.sync_devices
FOR UPDATE TO roost_api
USING (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

CREATE POLICY sync_operations_select_own ON roost.sync_operations
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY sync_operations_insert_own ON roost.sync_operations
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

CREATE POLICY sync_conflicts_select_own ON roost.sync_conflicts
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY sync_conflicts_insert_own ON roost.sync_conflicts
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

CREATE POLICY sync_conflicts_update_own ON roost.sync_conflicts
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()) AND state = 'open')
WITH CHECK (user_id = (SELECT roost.current_user_id()));

GRANT SELECT, INSERT ON roost.sync_devices TO roost_api;

GRANT UPDATE (last_operation_id, updated_at, generation) ON roost.sync_devices TO roost_api;

-- What became of an operation stays as it is, and goes by roost.expire_sync_operations.
GRANT SELECT, INSERT ON roost.sync_operations TO roost_api;

GRANT SELECT, INSERT ON roost.sync_conflicts TO roost_api;

GRANT UPDATE (state, strategy, resolution, resolved_by, resolved_at)
ON roost.sync_conflicts TO roost_api;

-- What push_operations answers for each operation.
CREATE TYPE roost.pushed_operation AS (
    id bigint,
    outcome roost.operation_outcome,
    first_outcome roost.operation_outcome,
    code text,
    message text,
    details text,
    hint text,
    conflict_id uuid,
    result jsonb
);

-- What list_sync_operations answers.
CREATE TYPE roost.sync_operation AS (
    id bigint,
    device_id uuid,
    kind text,
    target_id uuid,
    base_version bigint,
    policy roost.conflict_policy,
    args jsonb,
    outcome roost.operation_outcome,
    code text,
    message text,
    details text,
    hint text,
    conflict_id uuid,
    result jsonb,
    queued_at timestamptz,
    applied_at timestamptz,
    took_ms double precision
);

-- What the functions about conflicts answer, and conflict.opened and conflict.resolved carry.
CREATE TYPE roost.sync_conflict AS (
    id uuid,
    device_id uuid,
    operation_id bigint,
    offline_operation_id uuid,
    kind text,
    policy roost.conflict_policy,
    target_kind text,
    target_id uuid,
    base jsonb,
    mine jsonb,
    theirs jsonb,
    hunks jsonb,
    state roost.conflict_state,
    strategy roost.conflict_strategy,
    resolution jsonb,
    resolved_by uuid,
    created_at timestamptz,
    resolved_at timestamptz
);

-- An operation as it was sent, once it is known to be one.
CREATE TYPE roost.device_operation AS (
    id bigint,
    offline_id uuid,
    kind text,
    target_id uuid,
    args jsonb,
    base_version bigint,
    base jsonb,
    policy roost.conflict_policy,
    depends_on bigint [],
    queued_at timestamptz
);

-- What an operation has done: is_as_sent where nothing else was done than it says.
CREATE TYPE roost.operation_effect AS (
    result jsonb,
    conflict_id uuid,
    is_open boolean,
    is_as_sent boolean
);

-- What comes of a merge in three ways, and where it could not be done.
CREATE TYPE roost.json_merge AS (
    merged jsonb,
    hunks jsonb
);

CREATE TYPE roost.text_merge AS (
    merged text,
    hunks jsonb
);
