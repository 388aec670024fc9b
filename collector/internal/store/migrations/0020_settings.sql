-- Settings of agents: which version each host says it runs, and how the versions
-- rolled out. The newest row of a policy is how its roll-out stands.
ALTER TABLE host ADD COLUMN settings INTEGER NOT NULL DEFAULT 0;

CREATE TABLE rollout_change (
  no     INTEGER PRIMARY KEY,
  policy TEXT    NOT NULL, -- pol_…
  at_ns  INTEGER NOT NULL,
  state  TEXT    NOT NULL,
  step   INTEGER NOT NULL,
  reason TEXT    NOT NULL,
  body   TEXT    NOT NULL  -- JSON (package rollout)
) STRICT;
CREATE INDEX rollout_change_policy ON rollout_change (policy, no);
CREATE TRIGGER rollout_change_no_update BEFORE UPDATE ON rollout_change BEGIN SELECT RAISE(ABORT, 'the history of roll-outs is never changed'); END;
CREATE TRIGGER rollout_change_no_delete BEFORE DELETE ON rollout_change BEGIN SELECT RAISE(ABORT, 'the history of roll-outs is never deleted'); END;
CREATE TRIGGER audit_rollout_insert AFTER INSERT ON rollout_change BEGIN INSERT INTO audit_pending VALUES ('rollout', NEW.policy); END;
CREATE TRIGGER audit_rollout_update AFTER UPDATE ON rollout_change BEGIN INSERT INTO audit_pending VALUES ('rollout', OLD.policy), ('rollout', NEW.policy); END;
CREATE TRIGGER audit_rollout_delete AFTER DELETE ON rollout_change BEGIN INSERT INTO audit_pending VALUES ('rollout', OLD.policy); END;
