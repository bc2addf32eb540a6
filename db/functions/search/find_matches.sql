-- Finds the newest messages that match, among those that the caller may read, without looking at
-- more than it can in some 10 ms. Runs as the owner: below a policy the index of words could not be
-- used. So the conversations are read here, with all that hides messages from a participant, and
-- whoever shows what was found reads the messages themselves below the policy.
--
-- An index of words gives all matches or none: neither the newest first, nor only those in certain
-- conversations. For a common word that is a large part of the table; for a rare one, reading back
-- from the newest message is. PostgreSQL can't know which, since it knows neither how common the
-- word is nor how much of the table is the caller's. Here both are measured first: the word in the
-- newest thousand messages, the caller's share by their conversations. Then the cheapest of three
-- ways is taken through the next piece of the table, back from the newest, and again until there
-- are enough matches, or the work that was set aside is done.
--     walk     read the piece row by row
--     words    take the matches from the index, and leave out those of other conversations
--     marks    let the index intersect words and conversations
-- Whoever has few messages has all of theirs read, one conversation after the other.
--
-- Every statement is written so that there is one plan for it. What the planner knows about the
-- table does not matter, nor that it takes the function's arguments for constants.
CREATE OR REPLACE FUNCTION roost.find_matches(
    p_query tsquery,
    p_prefixes tsquery,
    p_driver tsquery,
    p_marks tsquery,
    p_conversation_id uuid,
    p_sent_after timestamptz,
    p_sent_before timestamptz,
    p_place bigint,
    p_most integer,
    OUT o_conversation_ids uuid[],
    OUT o_seqs bigint[],
    OUT o_times timestamptz[],
    OUT o_ranks real[],
    OUT o_top bigint,
    OUT o_next_place bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
AS $$
DECLARE
    -- Microseconds, about: a row that is read in order; one that is fetched for itself; an entry
    -- of the index, and what each conversation adds to that and to a statement; a statement; and
    -- all that may be spent.
    c_walk CONSTANT real := 0.9;
    c_fetch CONSTANT real := 16;
    c_entry CONSTANT real := 2.5;
    c_conversation_entry CONSTANT real := 0.006;
    c_conversation CONSTANT real := 11;
    c_statement CONSTANT real := 500;
    c_budget CONSTANT real := 6000;
    -- Messages that are read one conversation after the other.
    c_few CONSTANT integer := 500;
    c_sample CONSTANT integer := 1000;
    c_segment CONSTANT integer := 16384;
    -- So many at once would take too long: then the measurement was wrong, and is mended.
    c_most_fetched CONSTANT integer := 800;
    -- The rank of one message by a query of many words and phrases can take half a second. Whatever
    -- has all of them is a match as good as any.
    c_most_ranked_nodes CONSTANT integer := 200;
    v_is_ranked CONSTANT boolean := numnode(p_query) <= c_most_ranked_nodes;
    v_user_id CONSTANT uuid := roost.current_user_id();
    v_ids uuid[];
    v_after bigint[];
    v_messages bigint;
    v_hidden_ids uuid[];
    v_hidden_up_to bigint[];
    v_bottom bigint;
    v_rows bigint;
    v_share real;
    v_common real;
    v_fetched_common real;
    v_entry_common real;
    v_entry_cost real;
    v_prefix_common real;
    v_index_query tsquery;
    v_conversations tsquery;
    v_spent real := 0;
    v_walk_cost real;
    v_words_cost real;
    v_marks_cost real;
    v_cost real;
    v_piece bigint;
    v_longest bigint := 1000000;
    v_low bigint;
    v_unit integer;
    v_segments tsquery;
    v_filler tsquery;
    v_found integer;
    v_fetched bigint;
    v_page_ids uuid[];
    v_page_seqs bigint[];
    v_page_times timestamptz[];
    v_page_ranks real[];
BEGIN
    o_conversation_ids := '{}';
    o_seqs := '{}';
    o_times := '{}';
    o_ranks := '{}';

    SELECT
        array_agg(participant.conversation_id),
        array_agg(participant.history_after_seq),
        sum(greatest(conversation.last_seq - participant.history_after_seq, 0)),
        array_agg(participant.conversation_id) FILTER (WHERE participant.history_after_seq > 0),
        array_agg(participant.history_after_seq) FILTER (WHERE participant.history_after_seq > 0)
    INTO v_ids, v_after, v_messages, v_hidden_ids, v_hidden_up_to
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.user_id = v_user_id
        AND participant.left_at IS NULL
        AND NOT participant.suspended
        AND (p_conversation_id IS NULL OR participant.conversation_id = p_conversation_id);

    IF v_ids IS NULL OR p_query IS NULL THEN
        RETURN;
    END IF;

    SELECT coalesce(min(indexed.place), 1), coalesce(max(indexed.place), 0)
    INTO v_bottom, o_top
    FROM roost.message_search_index AS indexed;

    v_rows := greatest(o_top - v_bottom + 1, 1);
    v_share := least(greatest(v_messages, 1)::real / v_rows, 1);

    IF p_place IS NOT NULL THEN
        o_top := least(o_top, p_place);
    END IF;

    -- Places follow time, but for transactions that overlap: some more are looked at.
    IF p_sent_before IS NOT NULL THEN
        o_top := least(o_top, roost.search_place(p_sent_before) + 2000);
    END IF;

    IF p_sent_after IS NOT NULL THEN
        v_bottom := greatest(v_bottom, roost.search_place(p_sent_after) - 2000);
    END IF;

    IF v_messages <= c_few THEN
        SELECT
            array_agg(found.conversation_id), array_agg(found.seq),
            array_agg(found.created_at), array_agg(found.rank)
        INTO o_conversation_ids, o_seqs, o_times, o_ranks
        FROM (
            SELECT
                own.conversation_id, own.seq, own.created_at,
                CASE
                    WHEN v_is_ranked
                        THEN ts_rank_cd('{0, 0.3, 0.5, 1}', own.vector, p_query)
                    ELSE 1
                END AS rank
            FROM unnest(v_ids, v_after) AS scope (id, after_seq)
            CROSS JOIN LATERAL (
                SELECT indexed.*
                FROM roost.message_search_index AS indexed
                WHERE indexed.conversation_id = scope.id AND indexed.seq > scope.after_seq
                OFFSET 0
            ) AS own
            WHERE own.vector @@ p_query
                AND (p_marks IS NULL OR own.vector @@ p_marks)
                AND own.place <= o_top
                AND (p_sent_after IS NULL OR own.created_at >= p_sent_after)
                AND (p_sent_before IS NULL OR own.created_at < p_sent_before)
        ) AS found;

        o_conversation_ids := coalesce(o_conversation_ids, '{}');
        o_seqs := coalesce(o_seqs, '{}');
        o_times := coalesce(o_times, '{}');
        o_ranks := coalesce(o_ranks, '{}');
        RETURN;
    END IF;

    -- The index knows which words a message has, not where: of a phrase it gives all that have its
    -- words.
    v_index_query := regexp_replace(p_query::text, '<(-|[0-9]+)>', '&', 'g')::tsquery;

    -- At least one in twice as many: that none was seen does not say that there is none. What is
    -- fetched costs, so the more that there may be of it counts: where none was seen, three are not
    -- unlikely.
    SELECT
        greatest(count(*) FILTER (WHERE newest.vector @@ p_query), 0.5)
        / greatest(count(*), 1),
        greatest(
            count(*) FILTER (WHERE newest.vector @@ v_index_query)
            + 2 * sqrt(count(*) FILTER (WHERE newest.vector @@ v_index_query)),
            3
        ) / greatest(count(*), 1),
        greatest(count(*) FILTER (WHERE newest.every_vector @@ v_index_query), 0.5)
        / greatest(count(*), 1),
        count(*) FILTER (WHERE newest.every_vector @@ p_prefixes)::real / greatest(count(*), 1)
    INTO v_common, v_fetched_common, v_entry_common, v_prefix_common
    FROM (
        SELECT
            indexed.vector AS every_vector,
            CASE WHEN p_marks IS NULL OR indexed.vector @@ p_marks THEN indexed.vector END AS vector
        FROM roost.message_search_index AS indexed
        WHERE indexed.place <= o_top
        ORDER BY indexed.place DESC
        LIMIT c_sample
    ) AS newest;

    -- The index gathers all entries of a prefix, wherever they are, before it looks at any.
    IF p_prefixes IS NOT NULL AND v_prefix_common * v_rows > 25000 THEN
        v_index_query := regexp_replace(p_driver::text, '<(-|[0-9]+)>', '&', 'g')::tsquery;
        -- Not measured: rarely less than a prefix that is so common leaves of it.
        v_fetched_common := least(v_common / v_prefix_common, 1);
    END IF;

    IF cardinality(v_ids) <= 200 THEN
        v_conversations := (
            SELECT string_agg(quote_literal(E'\x01c' || roost.search_key(scope.id)), '|')
            FROM unnest(v_ids) AS scope (id)
        )::tsquery;
    END IF;

    -- Each word is one more list to leap through. Without a query for the index there is no cost of
    -- using it, and the only way is to walk.
    v_entry_cost := c_entry * (numnode(v_index_query) + 1) / 2;
    v_fetched_common := CASE WHEN v_entry_cost IS NOT NULL THEN v_fetched_common END;

    o_next_place := o_top;
    LOOP
        EXIT WHEN o_next_place < v_bottom;

        -- A tenth of it would be one more statement for next to nothing.
        IF cardinality(o_seqs) >= p_most OR v_spent >= 0.9 * c_budget THEN
            RETURN;
        END IF;

        -- What each row of the next piece costs.
        v_walk_cost := c_walk;
        v_words_cost := c_fetch * v_fetched_common
            + CASE WHEN p_marks IS NULL THEN 0 ELSE v_entry_cost * v_entry_common END;
        v_marks_cost := CASE
            WHEN v_conversations IS NOT NULL
                THEN least(v_entry_common, v_share)
                    * (v_entry_cost + c_conversation_entry * cardinality(v_ids))
                    + c_fetch * v_fetched_common * v_share
        END;
        v_cost := least(v_walk_cost, v_words_cost, v_marks_cost);

        -- As far as there should be enough matches, or the budget goes, but not much further than
        -- what was measured.
        v_piece := least(
            1.2 * (p_most - cardinality(o_seqs)) / (v_common * v_share),
            (c_budget - v_spent) / v_cost,
            v_longest
        );

        IF v_cost = v_walk_cost OR v_longest < c_segment THEN
            v_piece := greatest(v_piece, 1000);
            v_low := o_next_place - v_piece + 1;

            SELECT
                array_agg(own.conversation_id), array_agg(own.seq), array_agg(own.created_at),
                array_agg(
                    CASE
                        WHEN v_is_ranked
                            THEN ts_rank_cd('{0, 0.3, 0.5, 1}', own.vector, p_query)
                        ELSE 1
                    END
                ),
                count(*)
            INTO v_page_ids, v_page_seqs, v_page_times, v_page_ranks, v_found
            FROM (
                SELECT indexed.*
                FROM roost.message_search_index AS indexed
                WHERE indexed.place <= o_next_place AND indexed.place >= v_low
                ORDER BY indexed.place DESC
                OFFSET 0
            ) AS own
            WHERE own.conversation_id = ANY (v_ids)
                AND own.vector @@ p_query
                AND (
                    v_hidden_ids IS NULL
                    OR own.seq > coalesce(
                        v_hidden_up_to[array_position(v_hidden_ids, own.conversation_id)], 0
                    )
                )
                AND (p_marks IS NULL OR own.vector @@ p_marks)
                AND (p_sent_after IS NULL OR own.created_at >= p_sent_after)
                AND (p_sent_before IS NULL OR own.created_at < p_sent_before);

            v_fetched := v_found;
            v_spent := v_spent + v_piece * c_walk;
        ELSE
            -- In whole segments, fine ones near the newest messages and coarse ones beyond.
            v_unit := CASE WHEN v_piece <= 12 * c_segment THEN 14 ELSE 18 END;
            v_low := greatest(
                ((o_next_place - v_piece + 1) >> v_unit) << v_unit,
                ((o_next_place >> v_unit) - 63) << v_unit
            );
            v_segments := (
                SELECT string_agg(
                    quote_literal(
                        CASE v_unit WHEN 14 THEN E'\x01s' ELSE E'\x01S' END || segment.number
                    ),
                    '|'
                )
                FROM generate_series(v_low >> v_unit, o_next_place >> v_unit) AS segment (number)
            )::tsquery;

            -- Each segment is looked up for each entry. The rest of the table without them: some of
            -- what has been found comes once more, and is left out.
            IF v_low <= v_bottom AND v_fetched_common * v_rows < 500 THEN
                v_low := v_bottom;
                v_segments := v_index_query;
            END IF;

            -- One condition for each: the index then leaps from one to the other, which it does not
            -- do within a condition. Each has its lists walked through anew, so in place of one
            -- that there is not the shortest stand again: those of the words, but for a prefix.
            v_filler := CASE WHEN p_prefixes IS NULL THEN v_index_query ELSE v_segments END;

            SELECT
                array_agg(own.conversation_id) FILTER (WHERE own.is_match),
                array_agg(own.seq) FILTER (WHERE own.is_match),
                array_agg(own.created_at) FILTER (WHERE own.is_match),
                array_agg(
                    CASE
                        WHEN v_is_ranked
                            THEN ts_rank_cd('{0, 0.3, 0.5, 1}', own.vector, p_query)
                        ELSE 1
                    END
                )
                    FILTER (WHERE own.is_match),
                count(*) FILTER (WHERE own.is_match),
                count(*)
            INTO v_page_ids, v_page_seqs, v_page_times, v_page_ranks, v_found, v_fetched
            FROM (
                SELECT
                    fetched.*,
                    fetched.conversation_id = ANY (v_ids)
                    AND fetched.place <= o_next_place
                    AND (
                        v_hidden_ids IS NULL
                        OR fetched.seq > coalesce(
                            v_hidden_up_to[array_position(v_hidden_ids, fetched.conversation_id)],
                            0
                        )
                    )
                    AND fetched.vector @@ p_query
                    AND (p_sent_after IS NULL OR fetched.created_at >= p_sent_after)
                    AND (p_sent_before IS NULL OR fetched.created_at < p_sent_before) AS is_match
                FROM (
                    SELECT indexed.*
                    FROM roost.message_search_index AS indexed
                    WHERE indexed.vector @@ v_index_query
                        AND indexed.vector @@ v_segments
                        AND indexed.vector @@ CASE
                            WHEN v_cost = v_marks_cost THEN v_conversations
                            ELSE v_filler
                        END
                        AND indexed.vector @@ coalesce(p_marks, v_filler)
                    LIMIT c_most_fetched
                ) AS fetched
            ) AS own;

            -- More than was thought: a shorter piece, down to one that is read row by row.
            -- Something is left for that: whoever goes on from here has to come further.
            IF v_fetched = c_most_fetched THEN
                v_spent := greatest(
                    v_spent, least(v_spent + c_most_fetched * c_fetch / 2, c_budget / 2)
                );
                v_longest := (o_next_place - v_low + 1) / 32;
                CONTINUE;
            END IF;

            -- What was fetched is known now; the rest is as it was thought to be.
            v_spent := v_spent + c_statement + v_fetched * c_fetch;
            IF v_cost = v_marks_cost THEN
                v_spent := v_spent
                    + (o_next_place - v_low + 1) * (v_cost - c_fetch * v_fetched_common * v_share)
                    + c_conversation * cardinality(v_ids);
                v_fetched_common := v_fetched / v_share;
            ELSE
                v_spent := v_spent
                    + (o_next_place - v_low + 1) * (v_cost - c_fetch * v_fetched_common);
                v_fetched_common := v_fetched;
            END IF;
            v_fetched_common := least(
                greatest(v_fetched_common, 0.5) / (o_next_place - v_low + 1), 1
            );
            IF p_marks IS NULL THEN
                v_entry_common := v_fetched_common;
            END IF;
        END IF;

        -- The next piece is like this one, more likely than like the newest messages.
        v_longest := 4 * (o_next_place - v_low + 1);
        v_common := least(
            greatest(v_found / v_share, 0.5) / (o_next_place - v_low + 1), 1
        );

        o_conversation_ids := o_conversation_ids || coalesce(v_page_ids, '{}');
        o_seqs := o_seqs || coalesce(v_page_seqs, '{}');
        o_times := o_times || coalesce(v_page_times, '{}');
        o_ranks := o_ranks || coalesce(v_page_ranks, '{}');
        o_next_place := v_low - 1;
    END LOOP;

    o_next_place := NULL;
END;
$$;

REVOKE ALL ON FUNCTION roost.find_matches(
    tsquery, tsquery, tsquery, tsquery, uuid, timestamptz, timestamptz, bigint, integer
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION roost.find_matches(
    tsquery, tsquery, tsquery, tsquery, uuid, timestamptz, timestamptz, bigint, integer
) TO roost_api;

COMMENT ON FUNCTION roost.find_matches(
    tsquery, tsquery, tsquery, tsquery, uuid, timestamptz, timestamptz, bigint, integer
) IS
'The newest messages that match and that the caller may read, p_most and some more, back from
p_place: conversation, seq, time and rank of each. o_top is where it began; o_next_place is where
there may be more, NULL when these are all.';
