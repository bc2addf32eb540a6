CREATE OR REPLACE FUNCTION api.search_messages(
    query text DEFAULT '',
    conversation_id uuid DEFAULT NULL,
    user_id uuid DEFAULT NULL,
    message_type text DEFAULT NULL,
    sent_after timestamptz DEFAULT NULL,
    sent_before timestamptz DEFAULT NULL,
    has_attachment boolean DEFAULT NULL,
    root_message_id uuid DEFAULT NULL,
    page_size integer DEFAULT 20,
    cursor text DEFAULT NULL,
    embedding real[] DEFAULT NULL,
    model text DEFAULT NULL
)
RETURNS json
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- There is one good plan for each statement, and to plan one takes longer than to run it.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_most CONSTANT integer := 1000;
    -- A message is left out when those before it on the page have this much content and metadata.
    c_most_bytes CONSTANT integer := 4194304;
    -- Reciprocal rank fusion: what stands first in a list gets 1/61, then 1/62, and so on.
    c_fusion CONSTANT integer := 60;
    v_query text;
    v_cursor record;
    v_languages text[];
    v_parsed record;
    v_marks tsquery;
    v_matches record;
    v_nearest record;
    v_corrections jsonb;
    v_total text;
    v_pattern text;
    v_results json;
    v_is_full boolean;
    v_last_score double precision;
    v_last_time timestamptz;
    v_last_conversation_id uuid;
    v_last_seq bigint;
    v_next text;
BEGIN
    PERFORM roost.require_user();
    PERFORM roost.require_page_size(search_messages.page_size);
    IF search_messages.conversation_id IS NOT NULL THEN
        PERFORM roost.require_permission(search_messages.conversation_id, 'conversation.read');
    END IF;
    PERFORM roost.require_embedding(search_messages.embedding, search_messages.model);

    v_cursor := roost.read_search_cursor(search_messages.cursor);
    v_query := coalesce(v_cursor.o_query, search_messages.query, '');
    v_cursor.o_ranked_at := coalesce(v_cursor.o_ranked_at, extract(EPOCH FROM now()));
    v_marks := roost.search_filter(
        search_messages.user_id,
        search_messages.message_type,
        search_messages.has_attachment,
        search_messages.root_message_id
    );

    SELECT coalesce(array_agg(DISTINCT conversation.search_language), '{}')
    INTO v_languages
    FROM roost.conversation_participants AS participant
    JOIN roost.conversations AS conversation ON conversation.id = participant.conversation_id
    WHERE participant.user_id = (SELECT roost.current_user_id())
        AND participant.left_at IS NULL
        AND conversation.search_language <> 'simple'
        AND (
            search_messages.conversation_id IS NULL
            OR conversation.id = search_messages.conversation_id
        );

    -- Again with other words, where nothing has these.
    LOOP
        v_parsed := roost.parse_search_query(roost.require_query(v_query), v_languages);

        IF v_parsed.o_query IS NULL AND search_messages.embedding IS NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'RO302',
                MESSAGE = 'There is nothing in the query to look for.',
                DETAIL = format('Query: %s', v_query),
                HINT = 'Send at least one word, or the beginning of one with a star: deploy*.';
        END IF;

        v_matches := roost.find_matches(
            v_parsed.o_query,
            v_parsed.o_prefixes,
            v_parsed.o_driver,
            v_marks,
            search_messages.conversation_id,
            search_messages.sent_after,
            search_messages.sent_before,
            v_cursor.o_place,
            c_most
        );

        EXIT WHEN cardinality(v_matches.o_seqs) > 0
            OR v_matches.o_next_place IS NOT NULL
            OR search_messages.cursor IS NOT NULL
            OR search_messages.embedding IS NOT NULL;

        IF v_corrections IS NOT NULL THEN
            v_corrections := NULL;
            EXIT;
        END IF;

        v_corrections := roost.suggest_words(v_parsed.o_terms, search_messages.conversation_id);
        EXIT WHEN v_corrections IS NULL;

        v_query := roost.correct_query(v_query, v_corrections);
    END LOOP;

    IF search_messages.embedding IS NOT NULL THEN
        v_nearest := roost.find_nearest(
            search_messages.embedding,
            search_messages.model,
            search_messages.conversation_id,
            search_messages.user_id,
            search_messages.message_type,
            search_messages.sent_after,
            search_messages.sent_before,
            search_messages.has_attachment,
            search_messages.root_message_id
        );
    ELSE
        SELECT NULL::uuid[] AS o_conversation_ids, NULL::bigint[] AS o_seqs,
            NULL::timestamptz[] AS o_times
        INTO v_nearest;
    END IF;

    v_pattern := roost.highlight_pattern(v_parsed.o_terms, v_languages);

    WITH match AS MATERIALIZED (
        SELECT
            found.conversation_id,
            found.seq,
            found.time,
            -- Half as much after 30 days, a third after 60.
            (found.rank + 0.01)::double precision
            / (1 + greatest(v_cursor.o_ranked_at - extract(EPOCH FROM found.time), 0) / 2592000)
            AS score
        FROM unnest(
            v_matches.o_conversation_ids, v_matches.o_seqs, v_matches.o_times, v_matches.o_ranks
        ) AS found (conversation_id, seq, time, rank)
    ),
    fused AS MATERIALIZED (
        SELECT match.conversation_id, match.seq, match.time, match.score
        FROM match
        WHERE search_messages.embedding IS NULL

        UNION ALL
        SELECT listed.conversation_id, listed.seq, min(listed.time),
            sum(1 / (c_fusion + listed.rank)::double precision)
        FROM (
            SELECT match.conversation_id, match.seq, match.time,
                row_number() OVER (
                    ORDER BY match.score DESC, match.time DESC, match.conversation_id, match.seq
                )
            FROM match
            UNION ALL
            SELECT near.conversation_id, near.seq, near.time, near.rank
            FROM unnest(v_nearest.o_conversation_ids, v_nearest.o_seqs, v_nearest.o_times)
                WITH ORDINALITY AS near (conversation_id, seq, time, rank)
        ) AS listed (conversation_id, seq, time, rank)
        WHERE search_messages.embedding IS NOT NULL
        GROUP BY listed.conversation_id, listed.seq
    ),
    page AS MATERIALIZED (
        SELECT fused.conversation_id, fused.seq, fused.time, fused.score
        FROM fused
        WHERE v_cursor.o_score IS NULL
            OR (fused.score, fused.time, fused.conversation_id, fused.seq)
            < (v_cursor.o_score, v_cursor.o_time, v_cursor.o_conversation_id, v_cursor.o_seq)
        ORDER BY fused.score DESC, fused.time DESC, fused.conversation_id DESC, fused.seq DESC
        LIMIT search_messages.page_size + 1
    ),
    -- Below the policy: what must not be read does not get any further, whatever was found.
    readable AS MATERIALIZED (
        SELECT
            page.score, page.time, page.conversation_id, page.seq,
            shown.message,
            shown.bytes,
            row_number() OVER reading AS place,
            sum(shown.bytes) OVER reading - shown.bytes AS bytes_before
        FROM page
        LEFT JOIN LATERAL (
            SELECT
                roost.describe_message(message) AS message,
                octet_length(message.content::text) + octet_length(message.metadata::text) AS bytes
            FROM roost.messages AS message
            WHERE message.conversation_id = page.conversation_id
                AND message.seq = page.seq
                AND message.deleted_at IS NULL
            OFFSET 0
        ) AS shown ON true
        WINDOW reading AS (
            ORDER BY page.score DESC, page.time DESC, page.conversation_id DESC, page.seq DESC
        )
    ),
    kept AS (
        SELECT readable.*
        FROM readable
        WHERE readable.place <= search_messages.page_size
            AND coalesce(readable.bytes_before < c_most_bytes, true)
    )
    SELECT
        (
            SELECT coalesce(
                json_agg(
                    json_build_object(
                        'message', kept.message,
                        'rank', kept.score,
                        'highlights', marked.o_highlights,
                        'snippet', marked.o_snippet
                    )
                    ORDER BY kept.place
                ) FILTER (WHERE kept.bytes IS NOT NULL),
                '[]'
            )
            FROM kept
            CROSS JOIN LATERAL roost.highlight_message(
                (kept.message).content,
                (kept.message).attachments,
                v_pattern,
                v_parsed.o_positive,
                v_languages
            ) AS marked
        ),
        (SELECT count(*) FROM readable) > (SELECT count(*) FROM kept),
        (
            SELECT CASE
                WHEN v_matches.o_next_place IS NULL AND count(*) <= c_most THEN count(*)::text
                ELSE concat(least(count(*), c_most), '+')
            END
            FROM fused
        ),
        last.score, last.time, last.conversation_id, last.seq
    INTO
        v_results, v_is_full, v_total,
        v_last_score, v_last_time, v_last_conversation_id, v_last_seq
    FROM (SELECT) AS one
    LEFT JOIN (
        SELECT kept.* FROM kept ORDER BY kept.place DESC LIMIT 1
    ) AS last ON true;

    v_total := coalesce(v_cursor.o_total, v_total);

    IF v_is_full THEN
        v_next := roost.write_search_cursor(
            v_query, v_cursor.o_ranked_at, v_total, v_matches.o_top,
            v_last_score, v_last_time, v_last_conversation_id, v_last_seq
        );
    ELSIF v_matches.o_next_place IS NOT NULL AND search_messages.embedding IS NULL THEN
        v_next := roost.write_search_cursor(
            v_query, v_cursor.o_ranked_at, v_total, v_matches.o_next_place,
            NULL, NULL, NULL, NULL
        );
    END IF;

    RETURN json_build_object(
        'total', v_total, 'corrections', v_corrections, 'next', v_next, 'results', v_results
    );
END;
$$;

ALTER FUNCTION api.search_messages(
    text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid, integer, text, real[], text
) OWNER TO roost_api;

REVOKE ALL ON FUNCTION api.search_messages(
    text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid, integer, text, real[], text
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION api.search_messages(
    text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid, integer, text, real[], text
) TO roost_user;

COMMENT ON FUNCTION api.search_messages(
    text, uuid, uuid, text, timestamptz, timestamptz, boolean, uuid, integer, text, real[], text
) IS
'Searches the messages of all conversations that the caller takes part in, or of one. Words are
found in any case and with any accents; "a phrase" as it stands; -word excludes; OR is either;
deploy* is every word that begins so; parts of identifiers and paths are words. When nothing has the
words, words like them that the caller''s messages have are looked for instead, and named in
corrections.

Callers: signed-in people; participants of the conversation.
Arguments: query, at most 1000 characters, and 64 words and phrases. conversation_id, only there.
user_id, only messages of this person. message_type, only of this type. sent_after and sent_before,
only from then, and only before then. has_attachment, only with, or false: without.
root_message_id, only this thread. page_size, 1 to 200 rows. cursor, next of the page before, with
the same other arguments. embedding and model, to search by meaning as well: what both find comes
first.
Returns: {"total", "corrections", "next", "results": [{"message", "rank", "highlights": [{"field",
"start", "length"}], "snippet"}]}. total is how many there are, as text; 1000+ is at least so many.
next is null on the last page; a page before may be short. field is the key in the content, start
and length are Unicode characters. In the snippet, which is plain text and no HTML, matches are
between U+E000 and U+E001.
Errors: RO101, RO201 (not your conversation), RO302 (nothing to look for, or an argument that can''t
be), RO501 (the database can''t search by meaning).
Example: POST /rpc/search_messages {"query": "deploy* -staging", "page_size": 10}';
