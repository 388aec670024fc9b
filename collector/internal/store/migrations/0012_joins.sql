-- Which workloads are one run, and why. Parts and joins are derived; a run keeps
-- its id as long as its founding part is in it, which is why parts are kept. What
-- people said of joins and what became of runs is only ever added.
CREATE TABLE run_part (
  tenant   TEXT NOT NULL,
  part     TEXT NOT NULL,
  run      TEXT NOT NULL,
  start_ns INTEGER NOT NULL,
  PRIMARY KEY (tenant, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_part_run ON run_part (run, start_ns, part);

CREATE TABLE run_join (
  id         TEXT PRIMARY KEY,
  tenant     TEXT NOT NULL,
  run        TEXT NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('space', 'time')),
  from_part  TEXT NOT NULL,
  to_part    TEXT NOT NULL,
  from_label TEXT NOT NULL,
  to_label   TEXT NOT NULL,
  at_ns      INTEGER NOT NULL, -- start of the later part
  gap_ns     INTEGER NOT NULL, -- from the end of the earlier part, in time; 0 in space
  bits       INTEGER NOT NULL,
  evidence   TEXT NOT NULL,    -- JSON: name, bits, detail
  weights    TEXT NOT NULL,    -- that weighed it, with version and digest
  confirmed  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_join_run ON run_join (run, at_ns, id);
CREATE INDEX run_join_tenant ON run_join (tenant);

CREATE TABLE join_decision (
  no         INTEGER PRIMARY KEY,
  id         TEXT NOT NULL, -- of the join
  tenant     TEXT NOT NULL,
  from_part  TEXT NOT NULL,
  to_part    TEXT NOT NULL,
  verdict    TEXT NOT NULL CHECK (verdict IN ('apart', 'together', 'open')),
  reason     TEXT NOT NULL,
  by         TEXT NOT NULL,
  decided_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX join_decision_id ON join_decision (id, no);
CREATE INDEX join_decision_tenant ON join_decision (tenant, no);
CREATE TRIGGER join_decision_no_update BEFORE UPDATE ON join_decision BEGIN SELECT RAISE(ABORT, 'decisions on joins are never changed'); END;
CREATE TRIGGER join_decision_no_delete BEFORE DELETE ON join_decision BEGIN SELECT RAISE(ABORT, 'decisions on joins are never deleted'); END;
CREATE TRIGGER audit_join_decision_insert AFTER INSERT ON join_decision BEGIN INSERT INTO audit_pending VALUES ('join_decision', NEW.id); END;
CREATE TRIGGER audit_join_decision_update AFTER UPDATE ON join_decision BEGIN INSERT INTO audit_pending VALUES ('join_decision', OLD.id), ('join_decision', NEW.id); END;
CREATE TRIGGER audit_join_decision_delete AFTER DELETE ON join_decision BEGIN INSERT INTO audit_pending VALUES ('join_decision', OLD.id); END;

CREATE TABLE run_change (
  no       INTEGER PRIMARY KEY,
  at_ns    INTEGER NOT NULL,
  tenant   TEXT NOT NULL,
  run      TEXT NOT NULL,
  act      TEXT NOT NULL,
  other    TEXT NOT NULL, -- run that it came out of or went into, '' for none
  ops_low  INTEGER NOT NULL, -- of the run after the change; of one that is gone, what it had last
  ops_best INTEGER NOT NULL,
  ops_high INTEGER NOT NULL
) STRICT;
CREATE INDEX run_change_run ON run_change (run, no);
CREATE INDEX run_change_other ON run_change (other, no);
CREATE TRIGGER run_change_no_update BEFORE UPDATE ON run_change BEGIN SELECT RAISE(ABORT, 'the history of runs is never changed'); END;
CREATE TRIGGER run_change_no_delete BEFORE DELETE ON run_change BEGIN SELECT RAISE(ABORT, 'the history of runs is never deleted'); END;
