SET LOCAL ROLE roost_owner;

SELECT about_offset, revokes FROM realtime.events WHERE false;
