SET LOCAL ROLE roost_owner;

SELECT change_seq FROM roost.users WHERE false;

SELECT change_seq FROM roost.devices WHERE false;

SELECT change_seq FROM roost.conversation_participants WHERE false;

SELECT expired_seq, removed_seq FROM roost.conversations WHERE false;

SELECT removed_offset FROM realtime.topics WHERE false;

SELECT device_id, scope, epoch, position, from_seq, to_seq, held_count, updated_at
FROM roost.sync_scopes
WHERE false;

SELECT
    (step.value).scope, (step.value).stage, (step.value).last_offset,
    (step.value).visible_after, (step.value).position, (step.value).from_seq,
    (step.value).to_seq, (step.value).held_count
FROM (SELECT NULL::roost.sync_step AS value) AS step
WHERE false;

SELECT
    (change.value).kind, (change.value).op, (change.value).id, (change.value).change_offset,
    (change.value).seq, (change.value).size, (change.value).value
FROM (SELECT NULL::roost.scope_change AS value) AS change
WHERE false;

SELECT
    (page.value).changes, (page.value).cursor, (page.value).has_more, (page.value).progress
FROM (SELECT NULL::roost.pulled_changes AS value) AS page
WHERE false;

SELECT
    (verified.value).scope, (verified.value).last_offset, (verified.value).is_same,
    (verified.value).differing, (verified.value).changed
FROM (SELECT NULL::roost.verified_scope AS value) AS verified
WHERE false;
