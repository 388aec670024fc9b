-- What people are to be told, in the order in which it happened. Triggers write it
-- in the transaction of the change itself, so that no writer can forget it. It
-- names ids only.
CREATE TABLE notification (
  no     INTEGER PRIMARY KEY,
  at_ns  INTEGER NOT NULL,
  kind   TEXT    NOT NULL,
  object TEXT    NOT NULL, -- id of a case, finding or report
  about  TEXT    NOT NULL  -- JSON of more ids and dates, '' for nothing more
) STRICT;
-- How far each channel was told, and how it fared last.
CREATE TABLE notification_channel (
  name     TEXT    PRIMARY KEY,
  told     INTEGER NOT NULL, -- number of the last notification that it took
  attempts INTEGER NOT NULL, -- that failed since
  next_ns  INTEGER NOT NULL, -- not before
  took_ns  INTEGER NOT NULL, -- when it last took something, 0 for never
  problem  TEXT    NOT NULL  -- of the last attempt, '' if it went well
) STRICT;
-- The days before a deadline of which people were told.
CREATE TABLE escalation (
  case_id   TEXT    NOT NULL,
  clock     TEXT    NOT NULL,
  due       TEXT    NOT NULL, -- YYYY-MM-DD; another deadline is told anew
  days_left INTEGER NOT NULL, -- 10, 5, 2, 0, and -1 when it is over
  at_ns     INTEGER NOT NULL,
  PRIMARY KEY (case_id, clock, due, days_left)
) STRICT, WITHOUT ROWID;
-- Who may read the calendar of deadlines by a link. A new link ends the one before.
CREATE TABLE calendar_link (
  user    TEXT    PRIMARY KEY REFERENCES user (id),
  hash    BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  made_ns INTEGER NOT NULL
) STRICT;

CREATE TRIGGER notification_no_update BEFORE UPDATE ON notification BEGIN SELECT RAISE(ABORT, 'notifications are never changed'); END;
CREATE TRIGGER notification_no_delete BEFORE DELETE ON notification BEGIN SELECT RAISE(ABORT, 'notifications are never deleted'); END;
CREATE TRIGGER escalation_no_update BEFORE UPDATE ON escalation BEGIN SELECT RAISE(ABORT, 'escalations are never changed'); END;
CREATE TRIGGER escalation_no_delete BEFORE DELETE ON escalation BEGIN SELECT RAISE(ABORT, 'escalations are never deleted'); END;

CREATE TRIGGER notify_finding AFTER INSERT ON finding WHEN NEW.severity = 'critical'
BEGIN INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.signalled_ns, 'finding.critical', NEW.id, ''); END;
CREATE TRIGGER notify_case AFTER INSERT ON case_change WHEN NOT EXISTS (SELECT 1 FROM case_change WHERE id = NEW.id AND no <> NEW.no)
BEGIN INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, 'case.opened', NEW.id, ''); END;
CREATE TRIGGER notify_decision AFTER INSERT ON case_change WHEN NEW.act = 'propose decision'
BEGIN INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, 'decision.waits', NEW.id, ''); END;
CREATE TRIGGER notify_knowledge AFTER INSERT ON case_change WHEN NEW.act = 'know' AND coalesce(json_extract(NEW.body, '$.move.clock'), '') <> ''
BEGIN INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, 'knowledge.waits', NEW.id, ''); END;
CREATE TRIGGER notify_report AFTER INSERT ON report_change WHEN NEW.act IN ('propose', 'approve', 'file')
BEGIN INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, CASE NEW.act WHEN 'propose' THEN 'report.waits' WHEN 'approve' THEN 'report.approved' ELSE 'report.filed' END, NEW.id, ''); END;

CREATE TRIGGER audit_calendar_link_insert AFTER INSERT ON calendar_link BEGIN INSERT INTO audit_pending VALUES ('calendar_link', NEW.user); END;
CREATE TRIGGER audit_calendar_link_update AFTER UPDATE ON calendar_link BEGIN INSERT INTO audit_pending VALUES ('calendar_link', OLD.user), ('calendar_link', NEW.user); END;
CREATE TRIGGER audit_calendar_link_delete AFTER DELETE ON calendar_link BEGIN INSERT INTO audit_pending VALUES ('calendar_link', OLD.user); END;
