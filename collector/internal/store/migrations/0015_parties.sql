-- Who customers are: what was recorded of parties and all around them, each with
-- the time that it is of and the time at which it was recorded. No personal data
-- are here; they are sealed in the vault, and rows name them by id. Records are
-- only ever added. customer and customer_tenant say how it stands now.
CREATE TABLE party_record (
  no          INTEGER PRIMARY KEY,
  object      TEXT NOT NULL,    -- kind/id
  kind        TEXT NOT NULL,
  from_ns     INTEGER NOT NULL,
  to_ns       INTEGER NOT NULL, -- 0: until another record says otherwise
  recorded_ns INTEGER NOT NULL,
  by          TEXT NOT NULL,
  source      TEXT NOT NULL,
  body        TEXT NOT NULL     -- JSON of the object
) STRICT;
CREATE INDEX party_record_object ON party_record (object, no);
CREATE TRIGGER party_record_no_update BEFORE UPDATE ON party_record BEGIN SELECT RAISE(ABORT, 'records of parties are never changed'); END;
CREATE TRIGGER party_record_no_delete BEFORE DELETE ON party_record BEGIN SELECT RAISE(ABORT, 'records of parties are never deleted'); END;
CREATE TRIGGER audit_party_record_insert AFTER INSERT ON party_record BEGIN INSERT INTO audit_pending VALUES ('party_record', NEW.object); END;
CREATE TRIGGER audit_party_record_update AFTER UPDATE ON party_record BEGIN INSERT INTO audit_pending VALUES ('party_record', OLD.object), ('party_record', NEW.object); END;
CREATE TRIGGER audit_party_record_delete AFTER DELETE ON party_record BEGIN INSERT INTO audit_pending VALUES ('party_record', OLD.object); END;

-- Reads of personal data, each before it was answered.
CREATE TABLE personal_access (
  id     TEXT PRIMARY KEY,
  at_ns  INTEGER NOT NULL,
  actor  TEXT NOT NULL,
  party  TEXT NOT NULL,
  fields TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX personal_access_party ON personal_access (party, at_ns);
CREATE TRIGGER personal_access_no_update BEFORE UPDATE ON personal_access BEGIN SELECT RAISE(ABORT, 'accesses are never changed'); END;
CREATE TRIGGER personal_access_no_delete BEFORE DELETE ON personal_access BEGIN SELECT RAISE(ABORT, 'accesses are never deleted'); END;
CREATE TRIGGER audit_personal_access_insert AFTER INSERT ON personal_access BEGIN INSERT INTO audit_pending VALUES ('personal_access', NEW.id); END;
CREATE TRIGGER audit_personal_access_update AFTER UPDATE ON personal_access BEGIN INSERT INTO audit_pending VALUES ('personal_access', OLD.id), ('personal_access', NEW.id); END;
CREATE TRIGGER audit_personal_access_delete AFTER DELETE ON personal_access BEGIN INSERT INTO audit_pending VALUES ('personal_access', OLD.id); END;

-- What came from outside through a signed webhook or the feed of accesses. An
-- event that was taken is not taken again.
CREATE TABLE party_feed (
  id       TEXT PRIMARY KEY, -- vendor/event, or access/batch
  at_ns    INTEGER NOT NULL,
  actor    TEXT NOT NULL,
  entries  INTEGER NOT NULL,
  digest   TEXT NOT NULL     -- SHA-256 of what came
) STRICT, WITHOUT ROWID;
CREATE TRIGGER party_feed_no_update BEFORE UPDATE ON party_feed BEGIN SELECT RAISE(ABORT, 'what came from outside is never changed'); END;
CREATE TRIGGER party_feed_no_delete BEFORE DELETE ON party_feed BEGIN SELECT RAISE(ABORT, 'what came from outside is never deleted'); END;
CREATE TRIGGER audit_party_feed_insert AFTER INSERT ON party_feed BEGIN INSERT INTO audit_pending VALUES ('party_feed', NEW.id); END;
CREATE TRIGGER audit_party_feed_update AFTER UPDATE ON party_feed BEGIN INSERT INTO audit_pending VALUES ('party_feed', OLD.id), ('party_feed', NEW.id); END;
CREATE TRIGGER audit_party_feed_delete AFTER DELETE ON party_feed BEGIN INSERT INTO audit_pending VALUES ('party_feed', OLD.id); END;
