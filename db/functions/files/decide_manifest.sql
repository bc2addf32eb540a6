-- Both sides by path; what the device has and the workspace has not under that path is looked up by
-- its id, and by its name in other capitals.
CREATE OR REPLACE FUNCTION roost.decide_manifest(
    p_workspace_id uuid,
    p_manifest jsonb,
    p_from text[],
    p_through text[],
    p_limit bigint,
    OUT action text,
    OUT path text,
    OUT to_path text,
    OUT content text,
    OUT kind text,
    OUT file_id uuid,
    OUT version bigint,
    OUT hash text,
    OUT size bigint,
    OUT media_type text,
    OUT modified_at timestamptz,
    OUT code text,
    OUT details text,
    OUT hint text
)
RETURNS SETOF record
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH sent AS MATERIALIZED (
        SELECT listed.*
        FROM roost.read_manifest(p_manifest) AS listed
        WHERE p_through IS NULL OR listed.parts COLLATE "C" <= p_through
    ),

    there AS MATERIALIZED (
        SELECT
            walked.path,
            (walked.file).id,
            (walked.file).kind,
            (walked.file).version,
            (walked.file).hash,
            (walked.file).size,
            (walked.file).media_type,
            (walked.file).modified_at
        FROM roost.walk_files(p_workspace_id, p_from, p_through, NULL, p_limit) AS walked
    ),

    named AS MATERIALIZED (
        SELECT DISTINCT sent.file_id
        FROM sent
    ),

    -- What the device has under another path is told there.
    compared AS MATERIALIZED (
        SELECT
            coalesce(sent.path, there.path) AS path,
            sent.path IS NOT NULL AS is_here,
            there.path IS NOT NULL AS is_there,
            sent.hash AS own_hash,
            sent.base_version,
            sent.file_id AS own_id,
            there.id,
            there.kind,
            there.version,
            there.hash,
            there.size,
            there.media_type,
            there.modified_at
        FROM sent
        FULL JOIN there ON there.path = sent.path
        LEFT JOIN named ON named.file_id = there.id
        WHERE sent.path IS NOT NULL OR named.file_id IS NULL
    ),

    -- What there is of it elsewhere, what the device began with, and what is wrong with its path.
    known AS MATERIALIZED (
        SELECT
            compared.path,
            compared.is_here,
            compared.is_there,
            compared.own_hash,
            compared.base_version,
            compared.own_id,
            coalesce(compared.id, elsewhere.id) AS id,
            coalesce(compared.kind, elsewhere.kind) AS kind,
            coalesce(compared.version, elsewhere.version) AS version,
            encode(coalesce(compared.hash, elsewhere.hash), 'hex') AS hash,
            coalesce(compared.size, elsewhere.size) AS size,
            coalesce(compared.media_type, elsewhere.media_type) AS media_type,
            coalesce(compared.modified_at, elsewhere.modified_at) AS modified_at,
            elsewhere.path AS moved_to,
            encode(base.hash, 'hex') AS base_hash
        FROM compared
        LEFT JOIN LATERAL (
            SELECT
                file.id, file.kind, file.version, file.hash, file.size, file.media_type,
                file.modified_at, roost.file_path(file.id) AS path
            FROM roost.file_sync_state AS file
            WHERE file.id = compared.own_id
                AND file.workspace_id = p_workspace_id
                AND NOT compared.is_there
            -- Looked up one by one: all files of the workspace may be many more.
            LIMIT 1
        ) AS elsewhere ON true
        LEFT JOIN LATERAL (
            SELECT old.hash
            FROM roost.file_versions AS old
            WHERE old.file_id = compared.own_id
                AND old.version = compared.base_version
                AND compared.own_hash <> 'folder'
                AND compared.own_hash IS DISTINCT FROM encode(compared.hash, 'hex')
            LIMIT 1
        ) AS base ON true
    ),

    -- What is new here alone: calls for each line would take long.
    strange AS MATERIALIZED (
        SELECT
            known.path,
            checked.o_problem AS problem,
            checked.o_cure AS cure,
            looked_up.o_clash AS clash
        FROM known
        CROSS JOIN LATERAL roost.check_file_path(known.path) AS checked
        CROSS JOIN LATERAL roost.look_up_file(p_workspace_id, checked.o_parts) AS looked_up
        WHERE known.is_here AND known.id IS NULL AND known.own_hash IS NOT NULL
    ),

    -- What to do about what is in it, wherever it is.
    judged AS MATERIALIZED (
        SELECT
            known.*,
            strange.problem,
            strange.cure,
            strange.clash,
            CASE
                WHEN known.id IS NULL
                    OR known.kind = 'folder'
                    OR known.own_hash IS NULL
                    OR known.own_hash IN ('folder', known.hash)
                    THEN NULL
                WHEN known.own_id = known.id AND known.base_version = known.version
                    THEN 'upload'
                WHEN known.own_id = known.id AND known.own_hash = known.base_hash
                    THEN 'download'
                ELSE 'conflict'
            END AS change
        FROM known
        LEFT JOIN strange ON strange.path = known.path
    ),

    decided AS (
        SELECT
            judged.*,
            CASE
                WHEN NOT judged.is_here AND judged.kind = 'folder' THEN 'make_folder'
                WHEN NOT judged.is_here THEN 'download'
                WHEN judged.is_there AND judged.own_hash IS NULL
                    THEN CASE
                        WHEN judged.own_id = judged.id AND judged.base_version = judged.version
                            THEN 'delete_there'
                        WHEN judged.kind = 'folder' THEN 'make_folder'
                        ELSE 'download'
                    END
                WHEN judged.is_there AND (judged.own_hash = 'folder') <> (judged.kind = 'folder')
                    THEN 'refuse'
                WHEN judged.is_there AND judged.change IS NOT NULL THEN judged.change
                WHEN judged.is_there
                    AND (
                        judged.own_id IS DISTINCT FROM judged.id
                        OR (
                            judged.kind = 'file'
                            AND judged.base_version IS DISTINCT FROM judged.version
                        )
                    )
                    THEN 'adopt'
                WHEN judged.is_there THEN NULL
                WHEN judged.own_hash IS NULL AND judged.moved_to IS NOT NULL
                    THEN CASE
                        WHEN judged.base_version = judged.version THEN 'delete_there'
                        ELSE 'download'
                    END
                WHEN judged.own_hash IS NULL THEN NULL
                WHEN judged.moved_to IS NOT NULL THEN 'move'
                WHEN judged.clash IS NOT NULL OR judged.problem IS NOT NULL THEN 'refuse'
                -- Deleted there, and here nobody has changed it since.
                WHEN judged.id IS NOT NULL
                    AND (judged.own_hash = 'folder' OR judged.own_hash = judged.base_hash)
                    THEN 'delete'
                ELSE 'upload'
            END AS answer
        FROM judged
    )

    SELECT
        decided.answer,
        CASE
            WHEN decided.answer = 'download' AND NOT decided.is_there
                THEN coalesce(decided.moved_to, decided.path)
            ELSE decided.path
        END,
        CASE WHEN decided.answer = 'move' THEN decided.moved_to END,
        CASE WHEN decided.answer = 'move' THEN decided.change END,
        coalesce(
            decided.kind::text, CASE decided.own_hash WHEN 'folder' THEN 'folder' ELSE 'file' END
        ),
        decided.id,
        decided.version,
        decided.hash,
        decided.size,
        decided.media_type,
        decided.modified_at,
        CASE
            WHEN decided.answer <> 'refuse' THEN NULL
            WHEN decided.is_there THEN 'RO301'
            WHEN decided.clash IS NOT NULL THEN 'RO310'
            ELSE 'RO302'
        END,
        CASE WHEN decided.answer = 'refuse' THEN coalesce(decided.clash, decided.problem) END,
        CASE
            WHEN decided.answer <> 'refuse' THEN NULL
            WHEN decided.clash IS NOT NULL OR decided.is_there THEN 'Rename it here.'
            ELSE decided.cure
        END
    FROM decided
    WHERE decided.answer IS NOT NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.decide_manifest(uuid, jsonb, text[], text[], bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.decide_manifest(uuid, jsonb, text[], text[], bigint) TO roost_api;

COMMENT ON FUNCTION roost.decide_manifest(uuid, jsonb, text[], text[], bigint) IS
'What a device is to do about a part of a manifest and what the workspace has behind p_from up to
p_through. Under the policies of whoever asks.';
