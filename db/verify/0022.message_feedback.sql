SET LOCAL ROLE roost_owner;

SELECT
    (NULL::roost.reaction_event).message_id,
    (NULL::roost.reaction_event).conversation_id,
    (NULL::roost.reaction_event).seq,
    (NULL::roost.reaction_event).user_id,
    (NULL::roost.reaction_event).reaction,
    (NULL::roost.reaction_event).added,
    (NULL::roost.reaction_event).reactions;

SELECT
    (NULL::roost.reaction).message_id,
    (NULL::roost.reaction).user_id,
    (NULL::roost.reaction).reaction,
    (NULL::roost.reaction).created_at;

SELECT
    (NULL::roost.attachment).id,
    (NULL::roost.attachment).conversation_id,
    (NULL::roost.attachment).message_id,
    (NULL::roost.attachment).seq,
    (NULL::roost.attachment).place,
    (NULL::roost.attachment).user_id,
    (NULL::roost.attachment).name,
    (NULL::roost.attachment).media_type,
    (NULL::roost.attachment).size,
    (NULL::roost.attachment).sha256,
    (NULL::roost.attachment).file_id,
    (NULL::roost.attachment).url,
    (NULL::roost.attachment).created_at;

SELECT
    (NULL::roost.reader).message_id,
    (NULL::roost.reader).user_id,
    (NULL::roost.reader).has_read;

SELECT
    (NULL::roost.unread_count).conversation_id,
    (NULL::roost.unread_count).unread_count;

SELECT
    (NULL::roost.unread_counts).total,
    (NULL::roost.unread_counts).conversations;

SELECT
    (NULL::roost.typing).conversation_id,
    (NULL::roost.typing).user_id,
    (NULL::roost.typing).device_id,
    (NULL::roost.typing).typing,
    (NULL::roost.typing).expires_at;
