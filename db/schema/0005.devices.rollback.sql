-- Functions over these go along. The next `roost migrate` makes them again.
DROP TYPE roost.extension_connection CASCADE;

DROP TYPE roost.device_description CASCADE;

DROP TYPE roost.device CASCADE;

DROP TABLE roost.extension_connections CASCADE;

DROP TYPE roost.extension_state CASCADE;

DROP TABLE roost.devices CASCADE;

DROP TYPE roost.device_status CASCADE;

DROP TYPE roost.device_type CASCADE;
