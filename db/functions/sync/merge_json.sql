-- What one side alone has changed is taken from there, an object key by key. A key that one side
-- has removed and the other has changed stays: to remove does not beat a change. Lists of different
-- values are sets: what either has added is in it, what either has removed is not, in an order that
-- is the same whichever side is which. Text is merged by line.
CREATE OR REPLACE FUNCTION roost.merge_json(p_base jsonb, p_mine jsonb, p_theirs jsonb)
RETURNS roost.json_merge
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_merge roost.json_merge := ROW(p_theirs, '[]')::roost.json_merge;
    v_part roost.json_merge;
    v_text roost.text_merge;
    v_key text;
    v_keys text[] := '{}'::text[];
    v_values jsonb[] := '{}'::jsonb[];
BEGIN
    IF p_mine IS NOT DISTINCT FROM p_theirs OR p_mine IS NOT DISTINCT FROM p_base THEN
        RETURN v_merge;
    ELSIF p_theirs IS NOT DISTINCT FROM p_base THEN
        v_merge.merged := p_mine;

        RETURN v_merge;
    ELSIF p_mine IS NULL OR p_theirs IS NULL THEN
        v_merge.merged := coalesce(p_mine, p_theirs);

        RETURN v_merge;
    END IF;

    IF jsonb_typeof(p_mine) = 'object' AND jsonb_typeof(p_theirs) = 'object' THEN
        FOR v_key IN
            SELECT named.key FROM jsonb_object_keys(p_mine || p_theirs) AS named (key)
        LOOP
            v_part := roost.merge_json(
                CASE WHEN jsonb_typeof(p_base) = 'object' THEN p_base -> v_key END,
                p_mine -> v_key,
                p_theirs -> v_key
            );

            IF v_part.merged IS NOT NULL THEN
                v_keys := v_keys || v_key;
                v_values := v_values || v_part.merged;
            END IF;

            CONTINUE WHEN v_part.hunks = '[]';
            v_merge.hunks := v_merge.hunks || (
                SELECT coalesce(
                    jsonb_agg(jsonb_set(
                        hunk.value,
                        '{path}',
                        jsonb_build_array(v_key) || (hunk.value -> 'path')
                    )),
                    '[]'
                )
                FROM jsonb_array_elements(v_part.hunks) AS hunk
            );
        END LOOP;

        v_merge.merged := (
            SELECT coalesce(jsonb_object_agg(merged.key, merged.value), '{}')
            FROM unnest(v_keys, v_values) AS merged (key, value)
        );

        RETURN v_merge;
    END IF;

    IF roost.is_set(p_mine)
        AND roost.is_set(p_theirs)
        AND roost.is_set(coalesce(p_base, '[]'))
    THEN
        SELECT coalesce(
            jsonb_agg(member.value ORDER BY member.place, member.value), '[]'
        )
        INTO v_merge.merged
        FROM (
            SELECT listed.value, min(listed.place) AS place
            FROM (
                SELECT based.value, based.place
                FROM jsonb_array_elements(coalesce(p_base, '[]'))
                    WITH ORDINALITY AS based (value, place)
                WHERE based.value IN (SELECT jsonb_array_elements(p_mine))
                    AND based.value IN (SELECT jsonb_array_elements(p_theirs))
                UNION ALL
                SELECT added.value, 1000000000
                FROM jsonb_array_elements(p_mine || p_theirs) AS added (value)
                WHERE added.value NOT IN (
                    SELECT jsonb_array_elements(coalesce(p_base, '[]'))
                )
            ) AS listed
            GROUP BY listed.value
        ) AS member;

        RETURN v_merge;
    END IF;

    IF jsonb_typeof(p_base) = 'string'
        AND jsonb_typeof(p_mine) = 'string'
        AND jsonb_typeof(p_theirs) = 'string'
    THEN
        v_text := roost.merge_text(p_base #>> '{}', p_mine #>> '{}', p_theirs #>> '{}');

        IF v_text.hunks = '[]' THEN
            v_merge.merged := to_jsonb(v_text.merged);

            RETURN v_merge;
        END IF;
    END IF;

    v_merge.hunks := jsonb_build_array(jsonb_build_object(
        'path', '[]'::jsonb,
        'base', p_base,
        'mine', p_mine,
        'theirs', p_theirs,
        'lines', v_text.hunks
    ));

    RETURN v_merge;
END;
$$;

REVOKE ALL ON FUNCTION roost.merge_json(jsonb, jsonb, jsonb) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.merge_json(jsonb, jsonb, jsonb) TO roost_api;

COMMENT ON FUNCTION roost.merge_json(jsonb, jsonb, jsonb) IS
'Merges what two sides have made of the same JSON value, NULL where they have removed it. hunks is
empty, or a list of where that can not be done: path, base, mine, theirs, and of text lines as
roost.merge_text has them. There merged has theirs.';
