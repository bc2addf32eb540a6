-- depends: 0002.schemas
-- What the rest stands on: identifiers, the caller's identity, error codes, the server's secrets.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Time-ordered identifiers (RFC 9562, version 7): new rows land at the right edge of every index.
-- PostgreSQL 18 has them built in; before that the first 48 bits of a random identifier are
-- overwritten with the Unix time in milliseconds and the version bits set from 4 to 7.
DO $$
BEGIN
    IF pg_catalog.current_setting('server_version_num')::integer >= 180000 THEN
        CREATE FUNCTION roost.uuid_v7()
        RETURNS uuid
        LANGUAGE sql
        VOLATILE
        PARALLEL SAFE
        RETURN pg_catalog.uuidv7();
    ELSE
        CREATE FUNCTION roost.uuid_v7()
        RETURNS uuid
        LANGUAGE sql
        VOLATILE
        PARALLEL SAFE
        RETURN pg_catalog.encode(
            pg_catalog.set_bit(
                pg_catalog.set_bit(
                    pg_catalog.overlay(
                        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
                        pg_catalog.substring(
                            pg_catalog.int8send(
                                (extract(EPOCH FROM pg_catalog.clock_timestamp()) * 1000)::bigint
                            ),
                            3
                        ),
                        1,
                        6
                    ),
                    52,
                    1
                ),
                53,
                1
            ),
            'hex'
        )::uuid;
    END IF;
END;
$$;

COMMENT ON FUNCTION roost.uuid_v7() IS 'A new time-ordered identifier (UUID version 7).';

-- Who is calling. Set by roost.begin_call for one transaction; empty for everyone else. They are
-- SQL expressions, so that the planner puts them into the statement instead of calling them.
CREATE FUNCTION roost.current_user_id()
RETURNS uuid
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN nullif(pg_catalog.current_setting('roost.user_id', true), '')::uuid;

COMMENT ON FUNCTION roost.current_user_id() IS 'The signed-in person, or NULL.';

CREATE FUNCTION roost.current_device_id()
RETURNS uuid
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN nullif(pg_catalog.current_setting('roost.device_id', true), '')::uuid;

COMMENT ON FUNCTION roost.current_device_id() IS 'The device of the session, or NULL.';

CREATE FUNCTION roost.current_session_id()
RETURNS uuid
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN nullif(pg_catalog.current_setting('roost.session_id', true), '')::uuid;

COMMENT ON FUNCTION roost.current_session_id() IS 'The session of the call, or NULL.';

GRANT EXECUTE ON FUNCTION
    roost.uuid_v7(),
    roost.current_user_id(),
    roost.current_device_id(),
    roost.current_session_id()
TO roost_api;

-- The size as text is what counts, since that is what everybody is sent, and a number can be much
-- longer there: jsonb keeps 1e131071 in 8 bytes and writes it in 131,072. Written one after another
-- such numbers would take the server's memory, so their digits are added up first. Each number is
-- counted with at least a fifteenth of its digits and never with too many: what passes takes some
-- MiB to write, and what does not pass would not fit.
CREATE FUNCTION roost.json_digits(p_json jsonb)
RETURNS bigint
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        sum(
            scale(found.number::numeric)
            + CASE
                WHEN abs(found.number::numeric) < 1e20 THEN 1
                WHEN abs(found.number::numeric) < 1e300 THEN 20
                WHEN abs(found.number::numeric) < 1e4000 THEN 300
                WHEN abs(found.number::numeric) < 1e60000 THEN 4000
                ELSE 60000
            END
        ),
        0
    )
    FROM jsonb_path_query(p_json, 'strict $.** ? (@.type() == "number")') AS found (number);
$$;

COMMENT ON FUNCTION roost.json_digits(jsonb) IS
'How many digits the numbers in a JSON value have at least when they are written.';

-- One expression, and no less volatile than pg_column_size() is said to be, so that the planner
-- makes it part of the constraint. In 1,000 bytes there are too few numbers to do harm, and
-- counting them would take longer than storing the value. concat() and not a cast: with a value
-- that it knows, the planner would carry out the cast beforehand, whatever CASE says.
CREATE FUNCTION roost.json_fits(p_json jsonb, p_bytes integer)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN CASE
    WHEN pg_catalog.pg_column_size(p_json) > 1000 AND roost.json_digits(p_json) > p_bytes THEN false
    ELSE pg_catalog.octet_length(pg_catalog.concat(p_json)) <= p_bytes
END;

COMMENT ON FUNCTION roost.json_fits(jsonb, integer) IS
'Whether a JSON value, as PostgreSQL writes it, takes at most p_bytes.';

GRANT EXECUTE ON FUNCTION
    roost.json_digits(jsonb),
    roost.json_fits(jsonb, integer)
TO roost_api;

-- Settings, metadata and the like: an object, not a list or a bare value, and not a place for
-- files.
CREATE DOMAIN roost.json_object AS jsonb
    CONSTRAINT json_object_is_an_object CHECK (jsonb_typeof(VALUE) = 'object')
    CONSTRAINT json_object_fits_64_kib CHECK (roost.json_fits(VALUE, 65536));

COMMENT ON DOMAIN roost.json_object IS 'A JSON object of at most 64 KiB, as text.';

COMMENT ON CONSTRAINT json_object_is_an_object ON DOMAIN roost.json_object IS
'Send a JSON object, such as {"key": "value"}.';

COMMENT ON CONSTRAINT json_object_fits_64_kib ON DOMAIN roost.json_object IS
'Send at most 64 KiB of JSON. Numbers count with all their digits, also when written as 1e100.';

CREATE TABLE roost.migration_checksums (
    id text PRIMARY KEY,
    kind text NOT NULL CONSTRAINT migration_checksums_kind_is_known
    CHECK (kind IN ('schema', 'repeatable')),
    sha256 text CONSTRAINT migration_checksums_sha256_is_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    objects jsonb NOT NULL DEFAULT '{}' CONSTRAINT migration_checksums_objects_is_an_object
    CHECK (jsonb_typeof(objects) = 'object'),
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT migration_checksums_schema_has_a_sha256
    CHECK (kind <> 'schema' OR sha256 IS NOT NULL)
);

COMMENT ON TABLE roost.migration_checksums IS
'What each applied file contained, whatever tool applied it, so that an edited one is noticed.';

COMMENT ON COLUMN roost.migration_checksums.id IS
'Migration id, or path below db/ of a function or trigger file.';

COMMENT ON COLUMN roost.migration_checksums.kind IS
'schema: applied once, frozen. repeatable: applied again whenever it changes.';

COMMENT ON COLUMN roost.migration_checksums.sha256 IS
'SHA-256 of the file, hexadecimal. NULL: to be applied again, whatever it contains.';

COMMENT ON COLUMN roost.migration_checksums.objects IS
'What a repeatable file made, to be dropped when that is gone: {"FUNCTION api.ping": "MD5 of its
arguments and result", "TRIGGER name ON roost.table": ""}.';

COMMENT ON COLUMN roost.migration_checksums.applied_at IS 'When this content was applied.';

-- The one list of what Roost's own errors mean. HTTP statuses and documentation come from it.
CREATE TABLE roost.error_codes (
    code text PRIMARY KEY CONSTRAINT error_codes_code_is_of_class_ro CHECK (code ~ '^RO[0-9]{3}$'),
    name text NOT NULL CONSTRAINT error_codes_name_is_taken UNIQUE,
    http_status smallint NOT NULL CONSTRAINT error_codes_http_status_is_an_error
    CHECK (http_status BETWEEN 400 AND 599),
    meaning text NOT NULL
);

COMMENT ON TABLE roost.error_codes IS
'Domain errors: SQLSTATE, HTTP status and meaning. A code keeps its meaning for ever.';

COMMENT ON COLUMN roost.error_codes.code IS 'SQLSTATE of class RO.';

COMMENT ON COLUMN roost.error_codes.name IS
'Name for people and for GoTrue-style error_code fields.';

COMMENT ON COLUMN roost.error_codes.http_status IS 'Status of the HTTP answer.';

COMMENT ON COLUMN roost.error_codes.meaning IS 'When it is raised, in one sentence.';

INSERT INTO roost.error_codes (code, name, http_status, meaning) VALUES
('RO101', 'sign_in_required', 401, 'The call needs a signed-in person and there is none.'),
('RO102', 'session_not_found', 401, 'The session was ended, has expired or never existed.'),
('RO103', 'user_banned', 403, 'The account is suspended or closed.'),
('RO104', 'refresh_token_not_found', 400, 'The refresh token is not one of a living session.'),
(
    'RO105', 'refresh_token_already_used', 400,
    'An old refresh token came back: the session is over.'
),
('RO106', 'over_request_rate_limit', 429, 'Too many failed sign-ins for this account or address.'),
('RO107', 'user_already_exists', 422, 'The e-mail address belongs to an account.'),
('RO201', 'not_found', 404, 'What the call names does not exist, or is not the caller''s to see.'),
('RO202', 'not_allowed', 403, 'The caller sees it, but their role does not allow this.'),
('RO301', 'id_conflict', 409, 'The client-made id already stands for something else.'),
('RO302', 'invalid_argument', 400, 'A value is not acceptable, for the reason in the message.'),
('RO401', 'topic_not_allowed', 403, 'The caller may not join this topic.'),
('RO402', 'offset_out_of_range', 416, 'The topic has no event with this offset yet.'),
('RO403', 'must_refetch', 410, 'Events after this offset are gone: read the state again.');

-- Shared by all servers of one database, so that a token of one is good at another.
CREATE TABLE roost.server_secrets (
    name text PRIMARY KEY,
    value text NOT NULL CONSTRAINT server_secrets_value_is_long CHECK (char_length(value) >= 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE roost.server_secrets IS
'Keys that the servers of this database share. Readable by the gateway alone, by function.';

COMMENT ON COLUMN roost.server_secrets.name IS 'What the key is for.';

COMMENT ON COLUMN roost.server_secrets.value IS
'The key: 64 hexadecimal digits from a strong source.';

COMMENT ON COLUMN roost.server_secrets.created_at IS 'When it was made.';

-- gen_random_uuid() draws from the server's cryptographic generator: 122 bits each. Two of them
-- hashed are a 256-bit key without pgcrypto.
INSERT INTO roost.server_secrets (name, value)
SELECT
    secret.name,
    encode(
        sha256(
            uuid_send(gen_random_uuid())
            || uuid_send(gen_random_uuid())
            || uuid_send(gen_random_uuid())
        ),
        'hex'
    )
FROM (VALUES ('access_token'), ('refresh_token')) AS secret (name);

-- None of these is user data, and none is for roost_api: with row-level security on and no policy,
-- only the owner's own functions reach them.
ALTER TABLE roost.migration_checksums ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.error_codes ENABLE ROW LEVEL SECURITY;

ALTER TABLE roost.server_secrets ENABLE ROW LEVEL SECURITY;
