-- Further keys are the client's; a type that is not listed is an application's, and has its own
-- rules. In steps and not as one expression, which would be made ready as a whole for every
-- message.
CREATE OR REPLACE FUNCTION roost.content_cure(
    p_message_type text,
    p_content jsonb,
    p_attachments jsonb
)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_message_type IN ('text', 'system') THEN
        IF jsonb_typeof(p_content -> 'text') <> 'string'
            OR coalesce(p_content ->> 'text', '') = ''
        THEN
            RETURN 'Send {"text": "hello"}, with a text that is not empty.';
        END IF;
    ELSIF p_message_type = 'code' THEN
        IF jsonb_typeof(p_content -> 'code') IS DISTINCT FROM 'string'
            OR jsonb_typeof(p_content -> 'language') <> 'string'
            OR jsonb_typeof(p_content -> 'filename') <> 'string'
        THEN
            RETURN 'Send {"code": "SELECT 1", "language": "sql", "filename": "one.sql"}, all of'
                ' them strings; code alone is needed.';
        END IF;
    ELSIF p_message_type = 'tool_call' THEN
        IF jsonb_typeof(p_content -> 'name') <> 'string'
            OR coalesce(p_content ->> 'name', '') = ''
            OR jsonb_typeof(p_content -> 'arguments') IS DISTINCT FROM 'object'
            OR jsonb_typeof(p_content -> 'call_id') <> 'string'
        THEN
            RETURN 'Send {"name": "read_file", "arguments": {}, "call_id": "1"}: a name, an object'
                ' of arguments, and if you like a call_id, a string.';
        END IF;
    ELSIF p_message_type = 'tool_result' THEN
        IF NOT p_content ? 'result'
            OR jsonb_typeof(p_content -> 'call_id') <> 'string'
            OR jsonb_typeof(p_content -> 'is_error') <> 'boolean'
        THEN
            RETURN 'Send {"result": null, "call_id": "1", "is_error": false}: any result, and if'
                ' you like a call_id, a string, and is_error, true or false.';
        END IF;
    ELSIF p_message_type = 'file' THEN
        IF p_attachments = '[]' THEN
            RETURN 'Send at least one attachment with a message of type file.';
        ELSIF jsonb_typeof(p_content -> 'text') <> 'string' THEN
            RETURN 'Send {"text": "hello"}, or {} for a file without words.';
        END IF;
    END IF;

    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.content_cure(text, jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.content_cure(text, jsonb, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.content_cure(text, jsonb, jsonb) IS
'NULL where content is what the message type asks for; else what to send instead.';
