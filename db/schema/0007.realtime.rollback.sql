DROP TABLE realtime.events;

DROP TABLE realtime.topics;

DROP TABLE realtime.log;
