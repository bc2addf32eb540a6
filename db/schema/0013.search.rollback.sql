SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these come and go with the files below db/functions.
DROP TABLE roost.message_embeddings CASCADE;

DROP TABLE roost.search_queue CASCADE;

DROP TABLE roost.search_history CASCADE;

DROP TABLE roost.message_search_index CASCADE;

DROP SEQUENCE roost.message_search_places CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0013.search';

RESET ROLE;

-- Shared with other applications of this database, as citext is.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_extension AS extension
        WHERE extension.extname = 'pg_trgm'
            AND pg_catalog.obj_description(extension.oid, 'pg_extension') LIKE '%Made by Roost.'
    ) THEN
        DROP EXTENSION pg_trgm;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        RAISE NOTICE USING MESSAGE = 'The extension pg_trgm is kept.', DETAIL = SQLERRM;
END;
$$;
