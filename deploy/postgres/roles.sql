-- Roles of flopwatch in PostgreSQL. Run once in the database of the collector, as a
-- superuser; then give passwords with \password.
CREATE ROLE flopwatch_owner LOGIN;
CREATE ROLE flopwatch LOGIN;
CREATE ROLE flopwatch_reader LOGIN;

-- Nobody else has anything to do here.
DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO flopwatch_owner', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO flopwatch, flopwatch_reader', current_database());
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
