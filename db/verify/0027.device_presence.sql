SET LOCAL ROLE roost_owner;

SELECT id, started_at, beat_at FROM roost.servers WHERE false;

SELECT id FROM roost.living_servers WHERE false;

SELECT device_id, user_id, status, activity, last_seen, updated_at
FROM roost.device_presence WHERE false;

SELECT session_id, server_id, user_id FROM roost.device_connections WHERE false;

SELECT device_id, user_id, status, activity, connected, last_seen, updated_at
FROM roost.current_presence WHERE false;

SELECT user_id, status, activity, last_seen FROM roost.user_presence WHERE false;

SELECT user_id, status, activity, announced_at FROM roost.announced_presence WHERE false;

SELECT server_id, reference, topic, key, meta FROM realtime.presences WHERE false;

SELECT
    1 / (pg_catalog.to_regclass('roost.device_presence_user_id_idx') IS NOT NULL)::integer,
    1 / (pg_catalog.to_regclass('roost.device_connections_session_id_idx') IS NOT NULL)::integer,
    1 / (pg_catalog.to_regclass('roost.device_connections_user_id_idx') IS NOT NULL)::integer,
    1 / (pg_catalog.to_regclass('realtime.presences_topic_idx') IS NOT NULL)::integer;

SELECT
    (NULL::roost.present_device).device_id,
    (NULL::roost.present_device).status,
    (NULL::roost.present_device).activity,
    (NULL::roost.present_device).connected,
    (NULL::roost.present_device).last_seen;

SELECT
    (NULL::roost.presence).user_id,
    (NULL::roost.presence).status,
    (NULL::roost.presence).activity,
    (NULL::roost.presence).last_seen,
    (NULL::roost.presence).devices;
