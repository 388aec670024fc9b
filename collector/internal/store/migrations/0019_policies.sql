-- What runs did by day: derived, like the runs.
CREATE TABLE run_day (
  tenant     TEXT    NOT NULL,
  run        TEXT    NOT NULL,
  day        INTEGER NOT NULL, -- of UTC, since 1970-01-01
  ops_low    INTEGER NOT NULL,
  ops_best   INTEGER NOT NULL,
  ops_high   INTEGER NOT NULL,
  devices    INTEGER NOT NULL,
  observed_s INTEGER NOT NULL,
  elapsed_s  INTEGER NOT NULL,
  PRIMARY KEY (tenant, run, day)
) STRICT, WITHOUT ROWID;

-- Policies on their way. The newest row of an id is its state, those before are
-- its history (package draft).
CREATE TABLE policy_change (
  no      INTEGER PRIMARY KEY,
  id      TEXT    NOT NULL, -- pol_…
  version INTEGER NOT NULL,
  at_ns   INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  act     TEXT    NOT NULL,
  note    TEXT    NOT NULL,
  kind    TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  state   TEXT    NOT NULL,
  body    TEXT    NOT NULL, -- JSON of the whole policy
  UNIQUE (id, version)
) STRICT;
CREATE TRIGGER policy_change_no_update BEFORE UPDATE ON policy_change BEGIN SELECT RAISE(ABORT, 'what was done on a policy is never changed'); END;
CREATE TRIGGER policy_change_no_delete BEFORE DELETE ON policy_change BEGIN SELECT RAISE(ABORT, 'what was done on a policy is never deleted'); END;
CREATE TRIGGER audit_policy_insert AFTER INSERT ON policy_change BEGIN INSERT INTO audit_pending VALUES ('policy', NEW.id); END;
CREATE TRIGGER audit_policy_update AFTER UPDATE ON policy_change BEGIN INSERT INTO audit_pending VALUES ('policy', OLD.id), ('policy', NEW.id); END;
CREATE TRIGGER audit_policy_delete AFTER DELETE ON policy_change BEGIN INSERT INTO audit_pending VALUES ('policy', OLD.id); END;

CREATE TABLE simulation (
  id      TEXT    PRIMARY KEY, -- sim_…
  policy  TEXT    NOT NULL,    -- pol_…
  text    TEXT    NOT NULL,    -- digest of the text that was simulated
  at_ns   INTEGER NOT NULL,
  actor   TEXT    NOT NULL,
  digest  TEXT    NOT NULL,    -- of the result
  body    TEXT    NOT NULL     -- JSON of the report
) STRICT;
CREATE INDEX simulation_policy ON simulation (policy, at_ns);
CREATE TRIGGER simulation_no_update BEFORE UPDATE ON simulation BEGIN SELECT RAISE(ABORT, 'simulations are never changed'); END;
CREATE TRIGGER simulation_no_delete BEFORE DELETE ON simulation BEGIN SELECT RAISE(ABORT, 'simulations are never deleted'); END;
CREATE TRIGGER audit_simulation_insert AFTER INSERT ON simulation BEGIN INSERT INTO audit_pending VALUES ('simulation', NEW.id); END;
CREATE TRIGGER audit_simulation_update AFTER UPDATE ON simulation BEGIN INSERT INTO audit_pending VALUES ('simulation', OLD.id), ('simulation', NEW.id); END;
CREATE TRIGGER audit_simulation_delete AFTER DELETE ON simulation BEGIN INSERT INTO audit_pending VALUES ('simulation', OLD.id); END;

-- Findings that a change of policy made when it came into force, by looking back.
CREATE TABLE policy_finding (
  finding  TEXT    PRIMARY KEY REFERENCES finding (id),
  policy   TEXT    NOT NULL, -- pol_…
  known_ns INTEGER NOT NULL  -- when the policy came into force
) STRICT, WITHOUT ROWID;
CREATE TRIGGER policy_finding_no_update BEFORE UPDATE ON policy_finding BEGIN SELECT RAISE(ABORT, 'findings are never changed'); END;
CREATE TRIGGER policy_finding_no_delete BEFORE DELETE ON policy_finding BEGIN SELECT RAISE(ABORT, 'findings are never deleted'); END;
CREATE TRIGGER audit_policy_finding_insert AFTER INSERT ON policy_finding BEGIN INSERT INTO audit_pending VALUES ('policy_finding', NEW.finding); END;
CREATE TRIGGER audit_policy_finding_update AFTER UPDATE ON policy_finding BEGIN INSERT INTO audit_pending VALUES ('policy_finding', OLD.finding), ('policy_finding', NEW.finding); END;
CREATE TRIGGER audit_policy_finding_delete AFTER DELETE ON policy_finding BEGIN INSERT INTO audit_pending VALUES ('policy_finding', OLD.finding); END;

-- Policies that history was held against when they came into force.
CREATE TABLE policy_lookback (
  policy   TEXT    PRIMARY KEY,
  at_ns    INTEGER NOT NULL,
  findings INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What customers pay, imported from billing.
CREATE TABLE revenue (
  no                    INTEGER PRIMARY KEY,
  customer              TEXT    NOT NULL,
  from_day              TEXT    NOT NULL, -- of billed, as 2026-01-01; '' for a price
  to_day                TEXT    NOT NULL, -- excluded
  currency              TEXT    NOT NULL,
  billed_cents          INTEGER NOT NULL, -- 0 for a price
  cents_per_device_hour INTEGER NOT NULL, -- 0 for a total
  recorded_ns           INTEGER NOT NULL
) STRICT;
CREATE INDEX revenue_customer ON revenue (customer, no);
CREATE TRIGGER revenue_no_update BEFORE UPDATE ON revenue BEGIN SELECT RAISE(ABORT, 'imported revenue is never changed'); END;
CREATE TRIGGER revenue_no_delete BEFORE DELETE ON revenue BEGIN SELECT RAISE(ABORT, 'imported revenue is never deleted'); END;
CREATE TRIGGER audit_revenue_insert AFTER INSERT ON revenue BEGIN INSERT INTO audit_pending VALUES ('revenue', NEW.customer); END;
CREATE TRIGGER audit_revenue_update AFTER UPDATE ON revenue BEGIN INSERT INTO audit_pending VALUES ('revenue', OLD.customer), ('revenue', NEW.customer); END;
CREATE TRIGGER audit_revenue_delete AFTER DELETE ON revenue BEGIN INSERT INTO audit_pending VALUES ('revenue', OLD.customer); END;

INSERT INTO meta (key, value) VALUES ('policies', 0);
