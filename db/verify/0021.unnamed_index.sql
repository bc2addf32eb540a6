SET LOCAL ROLE roost_owner;

-- Fails unless the index is there and was built to its end.
SELECT 1 / pg_catalog.count(*)
FROM pg_catalog.pg_index AS index
WHERE index.indexrelid = pg_catalog.to_regclass('roost.conversation_participants_unnamed_idx')
    AND index.indisvalid;
