SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TABLE roost.server_secrets CASCADE;

DROP TABLE roost.error_codes CASCADE;

-- Without it roost status looks for the table in vain.
DROP FUNCTION IF EXISTS roost.get_migration_checksums();

DROP TABLE roost.migration_checksums CASCADE;

DROP DOMAIN roost.json_object CASCADE;

DROP FUNCTION roost.json_fits(jsonb, integer) CASCADE;

DROP FUNCTION roost.json_digits(jsonb) CASCADE;

DROP FUNCTION roost.current_session_id() CASCADE;

DROP FUNCTION roost.current_device_id() CASCADE;

DROP FUNCTION roost.current_user_id() CASCADE;

DROP FUNCTION roost.uuid_v7() CASCADE;
