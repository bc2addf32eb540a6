CREATE OR REPLACE FUNCTION realtime.get_epoch()
RETURNS text
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT log.epoch FROM realtime.log AS log;
$$;

REVOKE ALL ON FUNCTION realtime.get_epoch() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION realtime.get_epoch() TO roost_api, roost_gateway;

COMMENT ON FUNCTION realtime.get_epoch() IS
'The epoch of the event log. The server asks whenever it has been cut off: when it has changed, the
offsets that its subscribers hold mean nothing any more.';
