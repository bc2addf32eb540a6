-- depends: 0032.workspaces
-- What is in files: bytes by their hash, which workspace has them, and what is on its way up.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

INSERT INTO roost.error_codes (code, name, http_status, meaning) VALUES
('RO701', 'storage_full', 413, 'The plan of the workspace''s owner has no room for it.'),
('RO702', 'file_too_large', 413, 'It is larger than a file may be by the plan of the owner.'),
('RO703', 'upload_offset_mismatch', 409, 'The upload is not where the request goes on.'),
('RO704', 'checksum_mismatch', 460, 'What arrived is not what its checksum says.'),
('RO705', 'chunk_missing', 409, 'A chunk that is named is not in the workspace.'),
('RO706', 'content_mismatch', 422, 'The chunks do not make the content that is named.');

-- Of the signed links to files.
INSERT INTO roost.server_secrets (name, value)
SELECT
    'file_link',
    encode(
        sha256(
            uuid_send(gen_random_uuid())
            || uuid_send(gen_random_uuid())
            || uuid_send(gen_random_uuid())
        ),
        'hex'
    );

CREATE TABLE roost.plan_limits (
    plan_type roost.plan_type PRIMARY KEY,
    storage_bytes bigint NOT NULL CONSTRAINT plan_limits_storage_bytes_is_positive
    CHECK (storage_bytes > 0),
    file_bytes bigint NOT NULL CONSTRAINT plan_limits_file_bytes_is_positive
    CHECK (file_bytes > 0)
);

COMMENT ON TABLE roost.plan_limits IS 'What people may have by their plan. Operators change it.';

COMMENT ON COLUMN roost.plan_limits.plan_type IS 'The plan.';

COMMENT ON COLUMN roost.plan_limits.storage_bytes IS
'Bytes of all contents in the workspaces of one owner, old versions included.';

COMMENT ON COLUMN roost.plan_limits.file_bytes IS 'Bytes of one file.';

INSERT INTO roost.plan_limits (plan_type, storage_bytes, file_bytes) VALUES
('free', 1073741824, 268435456),
('pro', 107374182400, 10737418240),
('enterprise', 10995116277760, 1099511627776);

CREATE TABLE roost.storage_usage (
    user_id uuid PRIMARY KEY REFERENCES roost.users (id) ON DELETE CASCADE,
    bytes bigint NOT NULL DEFAULT 0 CONSTRAINT storage_usage_bytes_counts_up CHECK (bytes >= 0)
)
-- Written with every content, and in no index.
WITH (fillfactor = 50);

COMMENT ON TABLE roost.storage_usage IS
'What people store. The row is the lock under which contents of their workspaces come and go.';

COMMENT ON COLUMN roost.storage_usage.user_id IS 'The owner of the workspaces.';

COMMENT ON COLUMN roost.storage_usage.bytes IS
'Sizes of the contents in their workspaces, and what uploads under way have reserved.';

CREATE TABLE roost.file_chunks (
    hash bytea PRIMARY KEY,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT file_chunks_hash_is_sha256 CHECK (octet_length(hash) = 32),
    CONSTRAINT file_chunks_content_fits CHECK (octet_length(content) BETWEEN 1 AND 1048576)
);

ALTER TABLE roost.file_chunks ALTER COLUMN content SET STORAGE EXTERNAL;

COMMENT ON TABLE roost.file_chunks IS
'Bytes, each piece stored once for all who have it. Read only by way of what they belong to.';

COMMENT ON COLUMN roost.file_chunks.hash IS 'SHA-256 of the bytes.';

COMMENT ON COLUMN roost.file_chunks.content IS
'1 byte to 1 MiB, uncompressed: most files are compressed already, and a part of it can be read.';

COMMENT ON COLUMN roost.file_chunks.created_at IS 'When they came first.';

COMMENT ON CONSTRAINT file_chunks_content_fits ON roost.file_chunks IS
'Send chunks of 1 byte to 1 MiB.';

CREATE TABLE roost.file_contents (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    workspace_id uuid NOT NULL REFERENCES roost.workspaces (id) ON DELETE CASCADE,
    hash bytea NOT NULL,
    size bigint NOT NULL,
    -- No foreign key: storage is given back when the workspace has gone already.
    owner_id uuid NOT NULL,
    damaged int8multirange NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Guards two that store the same content at once. Serves the foreign key too.
    CONSTRAINT file_contents_workspace_id_hash_key UNIQUE (workspace_id, hash),
    CONSTRAINT file_contents_hash_is_sha256 CHECK (octet_length(hash) = 32),
    CONSTRAINT file_contents_size_is_no_debt CHECK (size >= 0)
);

COMMENT ON TABLE roost.file_contents IS
'What files of a workspace contain, or have contained: each content once a workspace.';

COMMENT ON COLUMN roost.file_contents.id IS 'Time-ordered identifier.';

COMMENT ON COLUMN roost.file_contents.workspace_id IS
'Where it is. Others learn nothing of it, not by its hash either.';

COMMENT ON COLUMN roost.file_contents.hash IS 'SHA-256 of all bytes.';

COMMENT ON COLUMN roost.file_contents.size IS 'How many bytes it has.';

COMMENT ON COLUMN roost.file_contents.owner_id IS
'Whose storage it counts in: the owner of the workspace.';

COMMENT ON COLUMN roost.file_contents.damaged IS
'Bytes that the newest look at them found damaged.';

COMMENT ON COLUMN roost.file_contents.created_at IS 'When it was complete.';

CREATE TABLE roost.content_chunks (
    content_id uuid NOT NULL REFERENCES roost.file_contents (id) ON DELETE CASCADE,
    from_byte bigint NOT NULL,
    -- squawk-ignore prefer-bigint-over-int
    size integer NOT NULL,
    workspace_id uuid NOT NULL,
    chunk_hash bytea NOT NULL REFERENCES roost.file_chunks (hash),
    CONSTRAINT content_chunks_pkey PRIMARY KEY (content_id, from_byte),
    CONSTRAINT content_chunks_from_byte_is_no_debt CHECK (from_byte >= 0),
    CONSTRAINT content_chunks_size_fits CHECK (size BETWEEN 1 AND 1048576)
);

COMMENT ON TABLE roost.content_chunks IS
'Which chunks make a content, without gaps. An empty content has none.';

COMMENT ON COLUMN roost.content_chunks.content_id IS 'The content.';

COMMENT ON COLUMN roost.content_chunks.from_byte IS 'Where in the content the chunk begins.';

COMMENT ON COLUMN roost.content_chunks.size IS 'How many bytes the chunk has.';

COMMENT ON COLUMN roost.content_chunks.workspace_id IS 'Where the content is.';

COMMENT ON COLUMN roost.content_chunks.chunk_hash IS 'The bytes.';

-- Serves the question whether a chunk is still needed, and whether a workspace has it.
CREATE INDEX content_chunks_chunk_hash_idx
ON roost.content_chunks (chunk_hash, workspace_id);

CREATE TABLE roost.chunk_leases (
    workspace_id uuid NOT NULL REFERENCES roost.workspaces (id) ON DELETE CASCADE,
    chunk_hash bytea NOT NULL REFERENCES roost.file_chunks (hash),
    expires_at timestamptz NOT NULL,
    CONSTRAINT chunk_leases_pkey PRIMARY KEY (workspace_id, chunk_hash)
);

COMMENT ON TABLE roost.chunk_leases IS
'Chunks that clients have sent, or counted on, and that no content may have yet.';

COMMENT ON COLUMN roost.chunk_leases.workspace_id IS 'For which workspace.';

COMMENT ON COLUMN roost.chunk_leases.chunk_hash IS 'The bytes.';

COMMENT ON COLUMN roost.chunk_leases.expires_at IS 'Until when they stay without a content.';

CREATE INDEX chunk_leases_chunk_hash_idx ON roost.chunk_leases (chunk_hash);

CREATE INDEX chunk_leases_expires_at_idx ON roost.chunk_leases (expires_at);

CREATE TABLE roost.content_leases (
    content_id uuid PRIMARY KEY REFERENCES roost.file_contents (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

COMMENT ON TABLE roost.content_leases IS
'Contents that were made of chunks, and that no file may have yet.';

COMMENT ON COLUMN roost.content_leases.content_id IS 'The content.';

COMMENT ON COLUMN roost.content_leases.expires_at IS 'Until when it stays without a file.';

CREATE INDEX content_leases_expires_at_idx ON roost.content_leases (expires_at);

CREATE TYPE roost.upload_kind AS ENUM ('whole', 'partial', 'final');

CREATE TABLE roost.uploads (
    id uuid PRIMARY KEY DEFAULT roost.uuid_v7(),
    kind roost.upload_kind NOT NULL,
    user_id uuid NOT NULL REFERENCES roost.users (id) ON DELETE CASCADE,
    device_id uuid,
    workspace_id uuid REFERENCES roost.workspaces (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    path text,
    base_version bigint,
    file_id uuid,
    media_type text,
    modified_at timestamptz,
    conflict_policy text,
    header text NOT NULL DEFAULT '',
    concat text,
    length bigint,
    received bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    tail bytea NOT NULL DEFAULT '',
    outcome jsonb,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uploads_has_a_place
    CHECK (kind = 'partial' OR (workspace_id IS NOT NULL AND path IS NOT NULL)),
    CONSTRAINT uploads_path_fits CHECK (octet_length(path) BETWEEN 1 AND 4096),
    CONSTRAINT uploads_media_type_fits CHECK (octet_length(media_type) <= 255),
    CONSTRAINT uploads_conflict_policy_fits CHECK (octet_length(conflict_policy) <= 63),
    CONSTRAINT uploads_header_fits CHECK (octet_length(header) <= 8190),
    CONSTRAINT uploads_concat_fits CHECK (octet_length(concat) <= 8190),
    CONSTRAINT uploads_length_is_no_debt CHECK (length >= 0),
    CONSTRAINT uploads_received_fits CHECK (received >= 0 AND received <= length),
    CONSTRAINT uploads_reserved_is_no_debt CHECK (reserved >= 0),
    CONSTRAINT uploads_tail_fits CHECK (octet_length(tail) < 262144),
    CONSTRAINT uploads_outcome_fits CHECK (roost.json_fits(outcome, 131072))
)
-- The offset moves with every piece, and is in no index.
WITH (fillfactor = 50);

ALTER TABLE roost.uploads ALTER COLUMN tail SET STORAGE EXTERNAL;

COMMENT ON TABLE roost.uploads IS
'What is on its way up, by the protocol tus, and for a while what has arrived.';

COMMENT ON COLUMN roost.uploads.id IS 'Time-ordered identifier; the last part of its address.';

COMMENT ON COLUMN roost.uploads.kind IS
'whole; partial, which becomes a part of another; or final, which is made of partial ones.';

COMMENT ON COLUMN roost.uploads.user_id IS 'Who uploads.';

COMMENT ON COLUMN roost.uploads.device_id IS 'From which device.';

COMMENT ON COLUMN roost.uploads.workspace_id IS 'Where to; empty for a part that does not say.';

COMMENT ON COLUMN roost.uploads.owner_id IS
'Whose storage it reserves: the owner of the workspace, else who uploads.';

COMMENT ON COLUMN roost.uploads.path IS 'The path of the file that it becomes.';

COMMENT ON COLUMN roost.uploads.base_version IS
'Version of the file that it is based on; 0 for none, empty where the client does not say.';

COMMENT ON COLUMN roost.uploads.file_id IS
'The file that this version is of, which may be gone; empty where the client does not say.';

COMMENT ON COLUMN roost.uploads.media_type IS 'Media type of the file.';

COMMENT ON COLUMN roost.uploads.modified_at IS 'When the file was changed, by the client''s clock.';

COMMENT ON COLUMN roost.uploads.conflict_policy IS 'What to do where another came first.';

COMMENT ON COLUMN roost.uploads.header IS 'Upload-Metadata as it came.';

COMMENT ON COLUMN roost.uploads.concat IS
'Upload-Concat as it came; empty for a whole one.';

COMMENT ON COLUMN roost.uploads.length IS 'How many bytes there will be, where that is known.';

COMMENT ON COLUMN roost.uploads.received IS 'How many bytes have arrived, those of the tail too.';

COMMENT ON COLUMN roost.uploads.reserved IS 'Bytes that count in the owner''s storage already.';

COMMENT ON COLUMN roost.uploads.tail IS 'The newest bytes, which do not fill a chunk yet.';

COMMENT ON COLUMN roost.uploads.outcome IS 'What became of it; empty until it is complete.';

COMMENT ON COLUMN roost.uploads.expires_at IS 'When it goes, unless more arrives.';

COMMENT ON COLUMN roost.uploads.created_at IS 'When it was announced.';

COMMENT ON CONSTRAINT uploads_has_a_place ON roost.uploads IS
'Send workspace_id and path, or filename, in Upload-Metadata.';

COMMENT ON CONSTRAINT uploads_path_fits ON roost.uploads IS
'Send a path of 1 to 4096 bytes.';

COMMENT ON CONSTRAINT uploads_media_type_fits ON roost.uploads IS
'Send a media type of at most 255 bytes.';

COMMENT ON CONSTRAINT uploads_header_fits ON roost.uploads IS
'Send Upload-Metadata of at most 8190 bytes.';

COMMENT ON CONSTRAINT uploads_length_is_no_debt ON roost.uploads IS
'Send the length as a whole number from 0.';

COMMENT ON CONSTRAINT uploads_received_fits ON roost.uploads IS
'Send no more bytes than Upload-Length says.';

CREATE INDEX uploads_user_id_idx ON roost.uploads (user_id);

CREATE INDEX uploads_workspace_id_idx ON roost.uploads (workspace_id);

-- Serve whoever asks what is under way, in a workspace or to a path, which may be too long for an
-- index.
CREATE INDEX uploads_under_way_idx
ON roost.uploads (workspace_id, id) WHERE outcome IS NULL AND kind <> 'partial';

CREATE INDEX uploads_path_idx
ON roost.uploads (workspace_id, hashtextextended(path, 0))
WHERE outcome IS NULL AND kind <> 'partial';

CREATE INDEX uploads_expires_at_idx ON roost.uploads (expires_at);

CREATE TABLE roost.upload_chunks (
    upload_id uuid NOT NULL REFERENCES roost.uploads (id) ON DELETE CASCADE,
    from_byte bigint NOT NULL,
    -- squawk-ignore prefer-bigint-over-int
    size integer NOT NULL,
    chunk_hash bytea NOT NULL REFERENCES roost.file_chunks (hash),
    CONSTRAINT upload_chunks_pkey PRIMARY KEY (upload_id, from_byte),
    CONSTRAINT upload_chunks_from_byte_is_no_debt CHECK (from_byte >= 0),
    CONSTRAINT upload_chunks_size_fits CHECK (size BETWEEN 1 AND 1048576)
);

COMMENT ON TABLE roost.upload_chunks IS 'The chunks of an upload that have arrived.';

COMMENT ON COLUMN roost.upload_chunks.upload_id IS 'The upload.';

COMMENT ON COLUMN roost.upload_chunks.from_byte IS 'Where in the upload the chunk begins.';

COMMENT ON COLUMN roost.upload_chunks.size IS 'How many bytes the chunk has.';

COMMENT ON COLUMN roost.upload_chunks.chunk_hash IS 'The bytes.';

CREATE INDEX upload_chunks_chunk_hash_idx ON roost.upload_chunks (chunk_hash);

-- No foreign key: whoever writes here locks no chunk.
CREATE TABLE roost.unused_chunks (
    hash bytea PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT unused_chunks_hash_is_sha256 CHECK (octet_length(hash) = 32)
);

COMMENT ON TABLE roost.unused_chunks IS
'Chunks that something referred to which is gone: perhaps nothing does any more.';

COMMENT ON COLUMN roost.unused_chunks.hash IS 'The chunk.';

COMMENT ON COLUMN roost.unused_chunks.since IS 'When the newest of these references went.';

-- What list_uploads answers.
CREATE TYPE roost.upload_under_way AS (
    id uuid,
    path text,
    received bigint,
    length bigint,
    user_id uuid,
    device_id uuid,
    created_at timestamptz,
    expires_at timestamptz
);

ALTER TABLE roost.plan_limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.storage_usage ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.file_chunks ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.file_contents ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.content_chunks ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.chunk_leases ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.content_leases ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.uploads ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.upload_chunks ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.unused_chunks ENABLE ROW LEVEL SECURITY;

-- People read what their workspaces have; only functions of the owner write, and read chunks.
CREATE POLICY storage_usage_select_own ON roost.storage_usage
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY file_contents_select_member ON roost.file_contents
FOR SELECT TO roost_api
USING (roost.own_workspace_role(workspace_id) IS NOT NULL);

CREATE POLICY content_chunks_select_member ON roost.content_chunks
FOR SELECT TO roost_api
USING (roost.own_workspace_role(workspace_id) IS NOT NULL);

CREATE POLICY chunk_leases_select_member ON roost.chunk_leases
FOR SELECT TO roost_api
USING (roost.own_workspace_role(workspace_id) IS NOT NULL);

CREATE POLICY content_leases_select_member ON roost.content_leases
FOR SELECT TO roost_api
USING (
    EXISTS (
        SELECT FROM roost.file_contents AS content
        WHERE content.id = content_leases.content_id
    )
);

CREATE POLICY uploads_select_own ON roost.uploads
FOR SELECT TO roost_api
USING (user_id = (SELECT roost.current_user_id()));

CREATE POLICY upload_chunks_select_own ON roost.upload_chunks
FOR SELECT TO roost_api
USING (
    EXISTS (
        SELECT FROM roost.uploads AS upload
        WHERE upload.id = upload_chunks.upload_id
    )
);

GRANT SELECT ON
roost.storage_usage,
roost.file_contents,
roost.content_chunks,
roost.chunk_leases,
roost.content_leases,
roost.uploads,
roost.upload_chunks
TO roost_api;
