SET LOCAL ROLE roost_owner;

SELECT about_offset, revokes, grants_topic, grants_after, written_at, xid
FROM realtime.events WHERE false;
