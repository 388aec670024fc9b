-- What each role may. Run as flopwatch_owner after each flopwatch-collector migrate: it
-- takes everything away and gives it anew, by the triggers that the tables have.
REVOKE ALL ON ALL TABLES IN SCHEMA flopwatch FROM flopwatch, flopwatch_reader;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA flopwatch FROM flopwatch, flopwatch_reader;
GRANT USAGE ON SCHEMA flopwatch TO flopwatch, flopwatch_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA flopwatch TO flopwatch, flopwatch_reader;
GRANT INSERT ON ALL TABLES IN SCHEMA flopwatch TO flopwatch;
REVOKE INSERT ON flopwatch.schema_version FROM flopwatch;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA flopwatch TO flopwatch;
-- Tables that are kept by months: places for them, and no other change of the schema.
GRANT EXECUTE ON FUNCTION flopwatch.make_month(text, text), flopwatch.drop_month(text, text) TO flopwatch;

-- Rows change and go only where no trigger forbids it to everybody.
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT c.oid::regclass AS name,
      EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname LIKE '%\_no\_update') AS kept,
      EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname LIKE '%\_no\_delete') AS held
    FROM pg_class c WHERE c.relnamespace = 'flopwatch'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'schema_version' LOOP
    IF NOT t.kept THEN
      EXECUTE format('GRANT UPDATE ON %s TO flopwatch', t.name);
    END IF;
    IF NOT t.held THEN
      EXECUTE format('GRANT DELETE ON %s TO flopwatch', t.name);
    END IF;
  END LOOP;
END $$;

-- What opens doors is for the collector alone.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['user', 'second_factor', 'api_token', 'api_token_network', 'desk_session', 'calendar_link', 'host_counter'] LOOP
    IF to_regclass(format('flopwatch.%I', name)) IS NOT NULL THEN
      EXECUTE format('REVOKE SELECT ON flopwatch.%I FROM flopwatch_reader', name);
    END IF;
  END LOOP;
END $$;
