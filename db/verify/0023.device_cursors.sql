SET LOCAL ROLE roost_owner;

SELECT device_id, topic, epoch, acknowledged, heard_since, updated_at
FROM roost.device_cursors
WHERE false;

SELECT
    (NULL::roost.device_cursor).topic,
    (NULL::roost.device_cursor).epoch,
    (NULL::roost.device_cursor).acknowledged,
    (NULL::roost.device_cursor).updated_at;
