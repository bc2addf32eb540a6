-- depends: 0009.messages
-- Who may see an event follows from the event itself, read in the order of the log: no message from
-- elsewhere can come too late.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

ALTER TABLE realtime.events
ADD COLUMN about_offset bigint,
ADD COLUMN revokes text,
ADD COLUMN grants_topic text,
ADD COLUMN grants_after bigint,
ADD COLUMN written_at timestamptz,
ADD COLUMN xid xid8;

-- Apart from the columns: a default that is not constant would write every event anew to fill it
-- in. What is there has no time to count from, and counts as older than all that has an xid.
ALTER TABLE realtime.events
ALTER COLUMN written_at SET DEFAULT clock_timestamp(),
ALTER COLUMN xid SET DEFAULT pg_current_xact_id();

COMMENT ON COLUMN realtime.events.written_at IS
'When it was written, in a transaction that may have begun long before: from here on its way to the
sockets is counted. Empty for events from before version 0.2.0.';

COMMENT ON COLUMN realtime.events.about_offset IS
'Offset of the event that made what this one is about; empty when it is about nothing earlier.
Whoever may not see that offset does not get this event''s payload.';

COMMENT ON COLUMN realtime.events.revokes IS
'Whose right to the topic ends with this event: a user id, or everybody; empty for nobody.';

COMMENT ON COLUMN realtime.events.grants_topic IS
'The topic that whoever receives this event, in their inbox, may read from now on; empty for none.';

COMMENT ON COLUMN realtime.events.grants_after IS
'Offset in that topic behind which they are to read, so that they miss nothing of it.';

COMMENT ON COLUMN realtime.events.xid IS
'The transaction that wrote it, never one of its savepoints: whether the event was there when a
client joined is asked of the snapshot of its join. Empty for events from before this column.';
