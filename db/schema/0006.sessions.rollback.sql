SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL ROLE roost_owner;

-- Functions over these go along. The next `roost migrate` makes them again.
DROP TYPE roost.refreshed CASCADE;

DROP TYPE roost.refresh_outcome CASCADE;

DROP TYPE roost.sign_in_candidate CASCADE;

DROP TYPE roost.signed_in CASCADE;

DROP TYPE roost.auth_user CASCADE;

DROP TYPE roost.session CASCADE;

DROP TABLE roost.login_attempts CASCADE;

DROP TABLE roost.sessions CASCADE;

DELETE FROM roost.migration_checksums WHERE id = '0006.sessions';
