SET LOCAL ROLE roost_owner;

SELECT 1 / count(*) FROM pg_catalog.pg_index
WHERE indexrelid = pg_catalog.to_regclass('roost.messages_change_idx') AND indisvalid;
