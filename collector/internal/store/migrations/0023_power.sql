-- What meters outside of hosts saw, and what the hosts reported of the same time.

-- Energy that hosts report, by quarter of an hour; the newest is with the host.
CREATE TABLE host_energy (
  host      INTEGER NOT NULL REFERENCES host (no),
  slot_ns   INTEGER NOT NULL,
  energy_mj INTEGER NOT NULL,
  known_ns  INTEGER NOT NULL, -- device time that the energy is of
  PRIMARY KEY (host, slot_ns)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_energy_slot ON host_energy (slot_ns);
ALTER TABLE host ADD COLUMN energy_slot_ns  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN energy_mj       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN energy_known_ns INTEGER NOT NULL DEFAULT 0;

-- Files of readings that were imported; their digests are in the audit log.
CREATE TABLE power_import (
  id       TEXT    PRIMARY KEY,
  at_ns    INTEGER NOT NULL,
  name     TEXT    NOT NULL,
  readings INTEGER NOT NULL,
  digest   TEXT    NOT NULL -- SHA-256 of the readings as they are stored
) STRICT;
CREATE TRIGGER audit_power_import_insert AFTER INSERT ON power_import BEGIN INSERT INTO audit_pending VALUES ('power_import', NEW.id); END;
CREATE TRIGGER audit_power_import_update AFTER UPDATE ON power_import BEGIN INSERT INTO audit_pending VALUES ('power_import', OLD.id), ('power_import', NEW.id); END;
CREATE TRIGGER audit_power_import_delete AFTER DELETE ON power_import BEGIN INSERT INTO audit_pending VALUES ('power_import', OLD.id); END;

CREATE TABLE power_meter (
  id   TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX power_meter_host ON power_meter (host, kind);

CREATE TABLE power_reading (
  meter       TEXT    NOT NULL,
  start_ns    INTEGER NOT NULL,
  end_ns      INTEGER NOT NULL,
  energy_mj   INTEGER NOT NULL,
  overhead_mj INTEGER NOT NULL,
  import      TEXT    NOT NULL,
  PRIMARY KEY (meter, start_ns)
) STRICT, WITHOUT ROWID;

-- What the meters of one kind saw of a slot, and what that came to.
CREATE TABLE power_slot (
  host        TEXT    NOT NULL,
  slot_ns     INTEGER NOT NULL,
  kind        TEXT    NOT NULL,
  energy_mj   INTEGER NOT NULL,
  overhead_mj INTEGER NOT NULL,
  covered_ns  INTEGER NOT NULL, -- of all its meters together
  answer      INTEGER NOT NULL DEFAULT 0, -- 0 open, 1 agrees, 2 more drawn, 3 less drawn, 4 cannot tell
  reported_mj INTEGER NOT NULL DEFAULT 0,
  reason      TEXT    NOT NULL DEFAULT '',
  PRIMARY KEY (host, slot_ns, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX power_slot_open ON power_slot (slot_ns) WHERE answer = 0;

-- Slots that follow each other and came to the same, cut at the ends of days.
CREATE TABLE power_span (
  host    TEXT    NOT NULL,
  from_ns INTEGER NOT NULL,
  to_ns   INTEGER NOT NULL,
  agrees  INTEGER NOT NULL CHECK (agrees IN (0, 1)), -- 0: contradicted
  PRIMARY KEY (host, from_ns)
) STRICT, WITHOUT ROWID;

-- Who administers a host, of those that ever enrolled. Who is not there claims by
-- himself.
CREATE VIEW host_admin AS
  SELECT i.host, coalesce((SELECT json_extract(j.says, '$.administered') FROM inventory_change j
    WHERE j.host = i.host AND json_extract(j.says, '$.administered') IS NOT NULL ORDER BY j.no DESC LIMIT 1), 'provider') AS administered
  FROM inventory_change i WHERE i.act = 'enroll' GROUP BY i.host;
