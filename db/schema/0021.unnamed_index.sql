-- depends: 0020.mention_index
-- transactional: false
-- Finds the participants from before release 0.2.0 whose names are still to be looked up. Empty
-- once roost.backfill_participants is done.
CREATE INDEX CONCURRENTLY conversation_participants_unnamed_idx
ON roost.conversation_participants (conversation_id, user_id)
WHERE mention_name IS NULL;
