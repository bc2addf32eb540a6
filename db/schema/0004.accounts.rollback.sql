SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- CASCADE: the functions that name these types come and go with the files below db/functions.
DROP TYPE roost.account CASCADE;

DROP TABLE roost.users CASCADE;

DROP TYPE roost.user_status CASCADE;

DROP TYPE roost.plan_type CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0004.accounts';
