-- The work of people on findings. Rows are only ever added: the newest of an
-- object is its state, those before are its history.
CREATE TABLE case_change (
  no         INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL, -- cas_…
  version    INTEGER NOT NULL,
  at_ns      INTEGER NOT NULL,
  actor      TEXT    NOT NULL,
  act        TEXT    NOT NULL,
  note       TEXT    NOT NULL,
  subject    TEXT    NOT NULL,
  obligation TEXT    NOT NULL,
  state      TEXT    NOT NULL,
  body       TEXT    NOT NULL, -- JSON of the whole case
  UNIQUE (id, version)
) STRICT;
CREATE INDEX case_subject ON case_change (subject, obligation, no);
CREATE TABLE case_note (
  id      TEXT    PRIMARY KEY,
  case_id TEXT    NOT NULL,
  at_ns   INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  text    TEXT    NOT NULL
) STRICT;
CREATE INDEX case_note_case ON case_note (case_id, at_ns);
CREATE TABLE case_file (
  id      TEXT    PRIMARY KEY,
  case_id TEXT    NOT NULL,
  at_ns   INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  media   TEXT    NOT NULL,
  sha256  BLOB    NOT NULL CHECK (length(sha256) = 32),
  content BLOB    NOT NULL
) STRICT;
CREATE INDEX case_file_case ON case_file (case_id, at_ns);
CREATE TABLE finding_work (
  no       INTEGER PRIMARY KEY,
  finding  TEXT    NOT NULL REFERENCES finding (id),
  at_ns    INTEGER NOT NULL,
  actor    TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  case_id  TEXT    NOT NULL, -- '' unless attached
  code     TEXT    NOT NULL,
  reason   TEXT    NOT NULL,
  level    INTEGER NOT NULL, -- percent; of the finding when it was suppressed
  ops      INTEGER NOT NULL,
  until_ns INTEGER NOT NULL  -- of a suppression, 0 for others
) STRICT;
CREATE INDEX finding_work_finding ON finding_work (finding, no);

CREATE TRIGGER case_change_no_update BEFORE UPDATE ON case_change BEGIN SELECT RAISE(ABORT, 'what was done on a case is never changed'); END;
CREATE TRIGGER case_change_no_delete BEFORE DELETE ON case_change BEGIN SELECT RAISE(ABORT, 'what was done on a case is never deleted'); END;
CREATE TRIGGER case_note_no_update BEFORE UPDATE ON case_note BEGIN SELECT RAISE(ABORT, 'notes are never changed'); END;
CREATE TRIGGER case_note_no_delete BEFORE DELETE ON case_note BEGIN SELECT RAISE(ABORT, 'notes are never deleted'); END;
CREATE TRIGGER case_file_no_update BEFORE UPDATE ON case_file BEGIN SELECT RAISE(ABORT, 'files of a case are never changed'); END;
CREATE TRIGGER case_file_no_delete BEFORE DELETE ON case_file BEGIN SELECT RAISE(ABORT, 'files of a case are never deleted'); END;
CREATE TRIGGER finding_work_no_update BEFORE UPDATE ON finding_work BEGIN SELECT RAISE(ABORT, 'what was done on a finding is never changed'); END;
CREATE TRIGGER finding_work_no_delete BEFORE DELETE ON finding_work BEGIN SELECT RAISE(ABORT, 'what was done on a finding is never deleted'); END;

CREATE TRIGGER audit_case_insert AFTER INSERT ON case_change BEGIN INSERT INTO audit_pending VALUES ('case', NEW.id); END;
CREATE TRIGGER audit_case_update AFTER UPDATE ON case_change BEGIN INSERT INTO audit_pending VALUES ('case', OLD.id), ('case', NEW.id); END;
CREATE TRIGGER audit_case_delete AFTER DELETE ON case_change BEGIN INSERT INTO audit_pending VALUES ('case', OLD.id); END;
CREATE TRIGGER audit_case_note_insert AFTER INSERT ON case_note BEGIN INSERT INTO audit_pending VALUES ('case_note', NEW.id); END;
CREATE TRIGGER audit_case_note_update AFTER UPDATE ON case_note BEGIN INSERT INTO audit_pending VALUES ('case_note', OLD.id), ('case_note', NEW.id); END;
CREATE TRIGGER audit_case_note_delete AFTER DELETE ON case_note BEGIN INSERT INTO audit_pending VALUES ('case_note', OLD.id); END;
CREATE TRIGGER audit_case_file_insert AFTER INSERT ON case_file BEGIN INSERT INTO audit_pending VALUES ('case_file', NEW.id); END;
CREATE TRIGGER audit_case_file_update AFTER UPDATE ON case_file BEGIN INSERT INTO audit_pending VALUES ('case_file', OLD.id), ('case_file', NEW.id); END;
CREATE TRIGGER audit_case_file_delete AFTER DELETE ON case_file BEGIN INSERT INTO audit_pending VALUES ('case_file', OLD.id); END;
CREATE TRIGGER audit_finding_work_insert AFTER INSERT ON finding_work BEGIN INSERT INTO audit_pending VALUES ('finding_work', NEW.finding); END;
CREATE TRIGGER audit_finding_work_update AFTER UPDATE ON finding_work BEGIN INSERT INTO audit_pending VALUES ('finding_work', OLD.finding), ('finding_work', NEW.finding); END;
CREATE TRIGGER audit_finding_work_delete AFTER DELETE ON finding_work BEGIN INSERT INTO audit_pending VALUES ('finding_work', OLD.finding); END;
