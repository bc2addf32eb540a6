-- Goes from the text to the people, so that it costs what the text has of places, however many take
-- part: ids and addresses are cut out and looked up, names are followed word by word in the index
-- of the participants' names. Runs as the owner: nobody else sees other people's accounts. An @
-- within a word, as in an address, begins nothing; a name ends where the word does, so that @ada is
-- not found in @adam, @ada.l or @ada@example.com. Where several names fit, the longest counts, and
-- everybody who has it: two people called Ada are both meant by @Ada.
CREATE OR REPLACE FUNCTION roost.find_mentions(p_conversation_id uuid, p_text text)
RETURNS uuid[]
LANGUAGE plpgsql
STABLE
STRICT
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- These bound the work: how far it looks, at how many places, how much after each, where an
    -- address has to fit in with what comes after it, and at how many of its words it may end.
    c_most_characters CONSTANT integer := 65536;
    c_most_places CONSTANT integer := 50;
    c_longest CONSTANT integer := 256;
    c_most_ends CONSTANT integer := 10;
    c_id CONSTANT text := '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
    c_address CONSTANT text := '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+';
    -- Up to where the next word ends, and with it a name may.
    c_word CONSTANT text := '^.(?:[[:alnum:]_@]|[.+-](?=[[:alnum:]_]))*';
    v_text text := left(p_text, c_most_characters);
    v_after text[];
    v_place text;
    v_plain text;
    v_folded text;
    v_id uuid;
    v_address_id uuid;
    v_address_length integer;
    v_addresses text[];
    v_name text;
    v_name_length integer;
    v_unnamed_ids uuid[];
    v_unnamed_names text[];
    v_end integer;
    v_longest integer;
    v_seen text[] := ARRAY[]::text[];
    v_ids uuid[] := ARRAY[]::uuid[];
BEGIN
    -- What comes after a place is taken out of the text once there are few of them.
    v_after := ARRAY(
        SELECT substr(v_text, possible.ends + 1, c_longest)
        FROM (
            SELECT found.ends
            FROM (
                SELECT
                    part.piece,
                    lead(part.piece) OVER in_order AS next_piece,
                    sum(char_length(part.piece) + 1) OVER in_order::integer AS ends
                FROM string_to_table(v_text, '@') WITH ORDINALITY AS part (piece, place)
                WINDOW in_order AS (ORDER BY part.place)
            ) AS found
            WHERE found.piece !~ '[[:alnum:]_.+-]$' AND found.next_piece ~ '^[^[:space:]]'
            ORDER BY found.ends
            LIMIT c_most_places
        ) AS possible
        ORDER BY possible.ends
    );

    IF v_after = '{}' THEN
        RETURN v_ids;
    END IF;

    -- From before release 0.2.0, until roost.backfill_participants has come to them.
    SELECT array_agg(account.id), array_agg(roost.mention_name(account.display_name))
    INTO v_unnamed_ids, v_unnamed_names
    FROM roost.conversation_participants AS participant
    JOIN roost.users AS account ON account.id = participant.user_id
    WHERE participant.conversation_id = p_conversation_id
        AND participant.mention_name IS NULL
        AND participant.left_at IS NULL
        AND account.display_name <> '';

    FOREACH v_place IN ARRAY v_after LOOP
        v_plain := lower(v_place);
        v_folded := CASE
            WHEN octet_length(v_place) = char_length(v_place) THEN v_plain
            ELSE roost.fold_text(v_place)
        END;
        v_id := NULL;
        v_address_id := NULL;
        v_address_length := 0;
        v_name_length := 0;

        -- Looked up one by one: joined, the planner might begin with all participants.
        IF v_plain ~ c_id AND char_length(substring(substr(v_plain, 36) FROM c_word)) = 1 THEN
            SELECT participant.user_id
            INTO v_id
            FROM roost.conversation_participants AS participant
            WHERE participant.conversation_id = p_conversation_id
                AND participant.user_id = left(v_plain, 36)::uuid
                AND participant.left_at IS NULL;
        END IF;

        IF v_plain ~ c_address THEN
            v_end := strpos(v_plain, '@') - 1;
            v_addresses := ARRAY[]::text[];

            WHILE cardinality(v_addresses) < c_most_ends LOOP
                v_end := v_end + char_length(substring(substr(v_plain, v_end + 1) FROM c_word));

                EXIT WHEN (v_end > char_length(substring(v_plain FROM c_address))) IS NOT FALSE;

                v_addresses := v_addresses || left(v_plain, v_end);
            END LOOP;

            SELECT account.id, char_length(account.email::text)
            INTO v_address_id, v_address_length
            FROM roost.users AS account
            WHERE account.email OPERATOR(extensions.=) ANY (v_addresses::extensions.citext[])
                AND (
                    SELECT participant.left_at IS NULL
                    FROM roost.conversation_participants AS participant
                    WHERE participant.conversation_id = p_conversation_id
                        AND participant.user_id = account.id
                )
            ORDER BY char_length(account.email::text) DESC
            LIMIT 1;
        END IF;

        -- One word more for as long as a name begins like that. What says ORDER BY is read in the
        -- index of names, and no further: other indexes find all participants as well.
        v_end := 0;

        LOOP
            v_end := v_end + char_length(substring(substr(v_folded, v_end + 1) FROM c_word));

            EXIT WHEN v_end IS NULL;

            SELECT participant.mention_name
            INTO v_name
            FROM roost.conversation_participants AS participant
            WHERE participant.conversation_id = p_conversation_id
                AND participant.left_at IS NULL
                AND participant.mention_name >= left(v_folded, v_end)
            ORDER BY participant.mention_name
            LIMIT 1;

            EXIT WHEN starts_with(v_name, left(v_folded, v_end)) IS NOT TRUE;

            IF char_length(v_name) = v_end THEN
                v_name_length := v_end;
            END IF;
        END LOOP;

        IF v_unnamed_ids IS NOT NULL THEN
            v_name_length := greatest(
                v_name_length,
                (
                    SELECT max(char_length(called.name))
                    FROM unnest(v_unnamed_names) AS called (name)
                    WHERE starts_with(v_folded, called.name)
                        AND char_length(
                            substring(substr(v_folded, char_length(called.name)) FROM c_word)
                        ) = 1
                )
            );
        END IF;

        v_longest := greatest(
            CASE WHEN v_id IS NOT NULL THEN 36 ELSE 0 END, v_address_length, v_name_length
        );

        -- Who was meant before is meant once.
        CONTINUE WHEN v_longest = 0
            OR left(v_plain, v_longest) || left(v_folded, v_longest) = ANY (v_seen);

        v_seen := v_seen || (left(v_plain, v_longest) || left(v_folded, v_longest));

        v_ids := v_ids || ARRAY(
            SELECT called.id
            FROM (
                SELECT v_id AS id WHERE v_longest = 36
                UNION
                SELECT v_address_id WHERE v_longest = v_address_length
                UNION
                (
                    SELECT participant.user_id
                    FROM roost.conversation_participants AS participant
                    WHERE participant.conversation_id = p_conversation_id
                        AND participant.left_at IS NULL
                        AND participant.mention_name >= left(v_folded, v_longest)
                        AND participant.mention_name <= left(v_folded, v_longest)
                    ORDER BY participant.mention_name
                )
                UNION
                SELECT unnamed.id
                FROM unnest(v_unnamed_ids, v_unnamed_names) AS unnamed (id, name)
                WHERE unnamed.name = left(v_folded, v_longest)
            ) AS called
            WHERE called.id IS NOT NULL AND called.id <> ALL (v_ids)
            ORDER BY called.id
        );
    END LOOP;

    RETURN v_ids;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_mentions(uuid, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_mentions(uuid, text) TO roost_api;

COMMENT ON FUNCTION roost.find_mentions(uuid, text) IS
'User ids of the participants whom a text mentions: @ and a user id, an e-mail address or a display
name, whatever its case and accents. Looks at the first 50 places that could be one, within the
first 65,536 characters.';
