-- depends: 0030.sync_operations
-- What a device could not do, and the server does for it, in order and again until it works.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- What a client can name. The table has the same as text, see there.
CREATE TYPE roost.offline_status AS ENUM ('pending', 'completed', 'failed', 'discarded');

CREATE TABLE roost.offline_operations (
    user_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT roost.uuid_v7(),
    device_id uuid NOT NULL,
    position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    target_id uuid,
    args jsonb,
    base_version bigint,
    base jsonb,
    policy roost.conflict_policy NOT NULL,
    depends_on uuid[] NOT NULL DEFAULT '{}',
    body_hash bytea NOT NULL,
    queued_at timestamptz,
    -- No enum: row-level security lets an index compare only what is known to keep secrets while it
    -- does, and enums are not.
    status text NOT NULL DEFAULT 'pending',
    retry_count bigint NOT NULL DEFAULT 0,
    max_retries bigint NOT NULL DEFAULT 3,
    next_attempt_at timestamptz,
    code text,
    message text,
    details text,
    hint text,
    conflict_id uuid,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    -- Of each person their own: an id says nothing of what others have.
    CONSTRAINT offline_operations_pkey PRIMARY KEY (user_id, id),
    -- Serves the foreign key, and the list of all operations of a device.
    CONSTRAINT offline_operations_position_key UNIQUE (device_id, user_id, position),
    CONSTRAINT offline_operations_device_fkey
    FOREIGN KEY (device_id, user_id) REFERENCES roost.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT offline_operations_kind_fits CHECK (char_length(kind) <= 64),
    CONSTRAINT offline_operations_args_fits CHECK (roost.json_fits(args, 524288)),
    CONSTRAINT offline_operations_base_fits CHECK (roost.json_fits(base, 524288)),
    CONSTRAINT offline_operations_result_fits CHECK (roost.json_fits(result, 8192)),
    -- What is sent, and what it names that is yet to be made.
    CONSTRAINT offline_operations_depends_on_fits CHECK (cardinality(depends_on) <= 1010),
    CONSTRAINT offline_operations_errors_fit CHECK (
        char_length(code) <= 5
        AND char_length(message) <= 1000
        AND char_length(details) <= 1000
        AND char_length(hint) <= 1000
    ),
    CONSTRAINT offline_operations_status_is_known
    CHECK (status IN ('pending', 'completed', 'failed', 'discarded')),
    CONSTRAINT offline_operations_max_retries_fits CHECK (max_retries BETWEEN 0 AND 20),
    CONSTRAINT offline_operations_retry_count_counts_up
    CHECK (retry_count BETWEEN 0 AND max_retries),
    CONSTRAINT offline_operations_due_is_pending
    CHECK (next_attempt_at IS NULL OR status = 'pending'),
    CONSTRAINT offline_operations_ended_says_when
    CHECK ((status IN ('completed', 'discarded')) = (completed_at IS NOT NULL)),
    CONSTRAINT offline_operations_failed_has_a_code
    CHECK (status <> 'failed' OR code IS NOT NULL)
);

COMMENT ON TABLE roost.offline_operations IS
'Operations that devices have enqueued for the server to do; for 30 days after they have ended.';

COMMENT ON COLUMN roost.offline_operations.user_id IS 'Whose operation it is.';

COMMENT ON COLUMN roost.offline_operations.id IS 'Its id, made by the device or time-ordered.';

COMMENT ON COLUMN roost.offline_operations.device_id IS 'The device.';

COMMENT ON COLUMN roost.offline_operations.position IS
'Its place in the queue of the device. It is given out under the lock on the device''s row of
sync_devices, so that what is behind was committed behind.';

COMMENT ON COLUMN roost.offline_operations.kind IS 'The function that it calls.';

COMMENT ON COLUMN roost.offline_operations.target_id IS
'What it makes or changes; empty where it does not say.';

COMMENT ON COLUMN roost.offline_operations.args IS
'Its arguments, until they are done as they say, or what they are about is deleted for good.';

COMMENT ON COLUMN roost.offline_operations.base_version IS
'Version of the target that the device had; empty where it does not say.';

COMMENT ON COLUMN roost.offline_operations.base IS
'What the device had in the fields that it changes, until it is done; empty where it does not say.';

COMMENT ON COLUMN roost.offline_operations.policy IS
'What is to be done where somebody else was there first.';

COMMENT ON COLUMN roost.offline_operations.depends_on IS
'Operations of the device, before it, that have to be completed: those that it names, and those
that make what its arguments name.';

COMMENT ON COLUMN roost.offline_operations.body_hash IS
'SHA-256 of the whole operation, to know the same again.';

COMMENT ON COLUMN roost.offline_operations.queued_at IS
'When it was done on the device, by its clock; empty where it does not say.';

COMMENT ON COLUMN roost.offline_operations.status IS
'pending, completed, failed or discarded: what became of it.';

COMMENT ON COLUMN roost.offline_operations.retry_count IS
'How often it was tried again since it was enqueued, or retried by its person.';

COMMENT ON COLUMN roost.offline_operations.max_retries IS
'How often it is tried again before it has failed.';

COMMENT ON COLUMN roost.offline_operations.next_attempt_at IS
'From when on it is due; empty while it waits for others, and when it is not pending.';

COMMENT ON COLUMN roost.offline_operations.code IS
'Code of the last error, as a call would have answered it; of a completed one RO303 where it has met
a conflict that is to be decided.';

COMMENT ON COLUMN roost.offline_operations.message IS 'Message of the last error.';

COMMENT ON COLUMN roost.offline_operations.details IS 'Details of the last error.';

COMMENT ON COLUMN roost.offline_operations.hint IS 'What to do about it.';

COMMENT ON COLUMN roost.offline_operations.conflict_id IS
'The conflict that it met, which may be gone.';

COMMENT ON COLUMN roost.offline_operations.result IS
'Of what the function answered, the ids and numbers: nothing that a deletion would have to find.';

COMMENT ON COLUMN roost.offline_operations.created_at IS 'When it was enqueued.';

COMMENT ON COLUMN roost.offline_operations.completed_at IS
'When it was completed or discarded; empty before.';

COMMENT ON CONSTRAINT offline_operations_max_retries_fits ON roost.offline_operations IS
'Send a whole number from 0 to 20 as max_retries.';

COMMENT ON CONSTRAINT offline_operations_depends_on_fits ON roost.offline_operations IS
'Name at most 1,000 operations.';

COMMENT ON CONSTRAINT offline_operations_base_fits ON roost.offline_operations IS
'Send at most 512 KiB of JSON.';

-- The list of those in one state.
CREATE INDEX offline_operations_status_idx
ON roost.offline_operations (device_id, user_id, status, position);

-- How many of all devices wait or have failed, and since when the oldest is due: for the metrics.
CREATE INDEX offline_operations_open_idx
ON roost.offline_operations (status, next_attempt_at) WHERE completed_at IS NULL;

-- The next one of a device, among all that it has ever enqueued.
CREATE INDEX offline_operations_due_idx
ON roost.offline_operations (device_id, user_id, position) WHERE next_attempt_at IS NOT NULL;

-- Who waits for an operation.
CREATE INDEX offline_operations_depends_on_idx
ON roost.offline_operations USING gin (depends_on)
WHERE completed_at IS NULL AND depends_on <> '{}';

-- What is to make something that is named, and for a message that is deleted for good.
CREATE INDEX offline_operations_kept_args_idx
ON roost.offline_operations (target_id) WHERE args IS NOT NULL;

-- An edit of an edit.
CREATE INDEX offline_operations_edits_idx
ON roost.offline_operations (device_id, target_id, position) WHERE kind = 'edit_message';

-- Serves roost.expire_sync_operations.
CREATE INDEX offline_operations_completed_at_idx
ON roost.offline_operations (completed_at) WHERE completed_at IS NOT NULL;

ALTER TABLE roost.offline_operations ENABLE ROW LEVEL SECURITY;

-- A device enqueues for itself; all devices of the person see, retry and discard.
CREATE POLICY offline_operations_select_own ON roost.offline_operations
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY offline_operations_insert_own ON roost.offline_operations
FOR INSERT TO roost_api
WITH CHECK (
    user_id = (SELECT roost.current_user_id())
    AND device_id = (SELECT roost.current_device_id())
);

-- What has ended stays as it is.
CREATE POLICY offline_operations_update_own ON roost.offline_operations
FOR UPDATE TO roost_api
USING (user_id = (SELECT roost.current_user_id()) AND completed_at IS NULL)
WITH CHECK (user_id = (SELECT roost.current_user_id()));

GRANT SELECT, INSERT ON roost.offline_operations TO roost_api;

GRANT UPDATE (
    args, base, status, retry_count, next_attempt_at, code, message, details, hint, conflict_id,
    result, completed_at
) ON roost.offline_operations TO roost_api;

-- What the functions of the queue answer, and its events carry.
CREATE TYPE roost.offline_operation AS (
    id uuid,
    device_id uuid,
    position bigint,
    kind text,
    target_id uuid,
    base_version bigint,
    policy roost.conflict_policy,
    depends_on uuid [],
    args jsonb,
    status roost.offline_status,
    retry_count bigint,
    max_retries bigint,
    next_attempt_at timestamptz,
    code text,
    message text,
    details text,
    hint text,
    conflict_id uuid,
    result jsonb,
    queued_at timestamptz,
    created_at timestamptz,
    completed_at timestamptz
);

-- The last edit that a device has made of a message before another one: of one that was applied the
-- code is empty.
CREATE TYPE roost.earlier_edit AS (
    id bigint,
    offline_id uuid,
    base_version bigint,
    args jsonb,
    code text
);
