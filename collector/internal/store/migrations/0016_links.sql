-- Which parties are one, are controlled together or act together. Rows are only
-- ever added: the newest of an id says how the link stands, those before are its
-- history. Evidence names values by keyed hash.
CREATE TABLE party_link (
  no          INTEGER PRIMARY KEY,
  id          TEXT    NOT NULL, -- lnk_…
  a           TEXT    NOT NULL,
  b           TEXT    NOT NULL,
  class       TEXT    NOT NULL CHECK (class IN ('identity', 'control', 'coordination')),
  directed    INTEGER NOT NULL, -- a controls b
  state       TEXT    NOT NULL,
  bits        REAL    NOT NULL,
  needs       TEXT    NOT NULL, -- why a person must decide
  evidence    TEXT    NOT NULL, -- JSON
  against     TEXT    NOT NULL, -- JSON: evidence that a person had seen when they said no
  by          TEXT    NOT NULL, -- '' for the rules
  reason      TEXT    NOT NULL,
  from_ns     INTEGER NOT NULL, -- since when it holds in the world, 0: always
  to_ns       INTEGER NOT NULL, -- excluded, 0: for ever
  recorded_ns INTEGER NOT NULL,
  weights     TEXT    NOT NULL  -- that weighed it, with version and digest
) STRICT;
CREATE INDEX party_link_id ON party_link (id, no);
CREATE TRIGGER party_link_no_update BEFORE UPDATE ON party_link BEGIN SELECT RAISE(ABORT, 'links are never changed'); END;
CREATE TRIGGER party_link_no_delete BEFORE DELETE ON party_link BEGIN SELECT RAISE(ABORT, 'links are never deleted'); END;
CREATE TRIGGER audit_party_link_insert AFTER INSERT ON party_link BEGIN INSERT INTO audit_pending VALUES ('party_link', NEW.id); END;
CREATE TRIGGER audit_party_link_update AFTER UPDATE ON party_link BEGIN INSERT INTO audit_pending VALUES ('party_link', OLD.id), ('party_link', NEW.id); END;
CREATE TRIGGER audit_party_link_delete AFTER DELETE ON party_link BEGIN INSERT INTO audit_pending VALUES ('party_link', OLD.id); END;
