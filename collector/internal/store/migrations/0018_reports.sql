-- Reports. Rows are only ever added: the newest of a report is its state, those
-- before are its history, and what was filed can be made again from them.
CREATE TABLE report_change (
  no      INTEGER PRIMARY KEY,
  id      TEXT    NOT NULL, -- rep_…
  version INTEGER NOT NULL,
  at_ns   INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  act     TEXT    NOT NULL,
  note    TEXT    NOT NULL,
  case_id TEXT    NOT NULL, -- '' of a report about the programme
  form    TEXT    NOT NULL,
  state   TEXT    NOT NULL,
  body    TEXT    NOT NULL, -- JSON of the whole report
  UNIQUE (id, version)
) STRICT;
CREATE INDEX report_case ON report_change (case_id, no);
-- Receipts and attachments.
CREATE TABLE report_file (
  id      TEXT    PRIMARY KEY,
  report  TEXT    NOT NULL,
  at_ns   INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  media   TEXT    NOT NULL,
  sha256  BLOB    NOT NULL CHECK (length(sha256) = 32),
  content BLOB    NOT NULL
) STRICT;
CREATE INDEX report_file_report ON report_file (report, at_ns);
-- What the provider says of itself on reports.
CREATE TABLE filer_change (
  no    INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  actor TEXT    NOT NULL,
  body  TEXT    NOT NULL
) STRICT;

CREATE TRIGGER report_change_no_update BEFORE UPDATE ON report_change BEGIN SELECT RAISE(ABORT, 'reports are never changed'); END;
CREATE TRIGGER report_change_no_delete BEFORE DELETE ON report_change BEGIN SELECT RAISE(ABORT, 'reports are never deleted'); END;
CREATE TRIGGER report_file_no_update BEFORE UPDATE ON report_file BEGIN SELECT RAISE(ABORT, 'files of a report are never changed'); END;
CREATE TRIGGER report_file_no_delete BEFORE DELETE ON report_file BEGIN SELECT RAISE(ABORT, 'files of a report are never deleted'); END;
CREATE TRIGGER filer_change_no_update BEFORE UPDATE ON filer_change BEGIN SELECT RAISE(ABORT, 'what the provider said is never changed'); END;
CREATE TRIGGER filer_change_no_delete BEFORE DELETE ON filer_change BEGIN SELECT RAISE(ABORT, 'what the provider said is never deleted'); END;

CREATE TRIGGER audit_report_insert AFTER INSERT ON report_change BEGIN INSERT INTO audit_pending VALUES ('report', NEW.id); END;
CREATE TRIGGER audit_report_update AFTER UPDATE ON report_change BEGIN INSERT INTO audit_pending VALUES ('report', OLD.id), ('report', NEW.id); END;
CREATE TRIGGER audit_report_delete AFTER DELETE ON report_change BEGIN INSERT INTO audit_pending VALUES ('report', OLD.id); END;
CREATE TRIGGER audit_report_file_insert AFTER INSERT ON report_file BEGIN INSERT INTO audit_pending VALUES ('report_file', NEW.id); END;
CREATE TRIGGER audit_report_file_update AFTER UPDATE ON report_file BEGIN INSERT INTO audit_pending VALUES ('report_file', OLD.id), ('report_file', NEW.id); END;
CREATE TRIGGER audit_report_file_delete AFTER DELETE ON report_file BEGIN INSERT INTO audit_pending VALUES ('report_file', OLD.id); END;
CREATE TRIGGER audit_filer_insert AFTER INSERT ON filer_change BEGIN INSERT INTO audit_pending VALUES ('filer', 'filer'); END;
CREATE TRIGGER audit_filer_update AFTER UPDATE ON filer_change BEGIN INSERT INTO audit_pending VALUES ('filer', 'filer'); END;
CREATE TRIGGER audit_filer_delete AFTER DELETE ON filer_change BEGIN INSERT INTO audit_pending VALUES ('filer', 'filer'); END;
