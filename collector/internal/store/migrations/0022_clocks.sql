-- Where on the collector's time line the present boot of each host is (0: its
-- times are taken as they come), and what follows from that.
ALTER TABLE host ADD COLUMN clock_boot_ns   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN clock_shift_ns  INTEGER NOT NULL DEFAULT 0; -- added to the times of its batches
ALTER TABLE host ADD COLUMN clock_step_ns   INTEGER NOT NULL DEFAULT 0; -- how far its wall clock was set while the agent ran
ALTER TABLE host ADD COLUMN clock_sealed_ns INTEGER NOT NULL DEFAULT 0; -- time since boot of its newest batch
ALTER TABLE host ADD COLUMN clock_lag_ns    INTEGER NOT NULL DEFAULT 0; -- from the sealing of that batch to its receipt

-- From which batch on the times of a host are shifted, and by how much. Insert-only:
-- the signed batches and these rows give the ledger again.
CREATE TABLE clock_change (
  id       TEXT    PRIMARY KEY, -- host/epoch/seq
  host     TEXT    NOT NULL,
  epoch    INTEGER NOT NULL,
  seq      INTEGER NOT NULL,
  boot_id  TEXT    NOT NULL,
  shift_ns INTEGER NOT NULL,
  step_ns  INTEGER NOT NULL,
  reason   TEXT    NOT NULL, -- '' for what is no finding
  at_ns    INTEGER NOT NULL  -- when the batch was counted
) STRICT;
CREATE INDEX clock_change_host ON clock_change (host, epoch, seq);
CREATE TRIGGER audit_clock_change_insert AFTER INSERT ON clock_change BEGIN INSERT INTO audit_pending VALUES ('clock_change', NEW.id); END;
CREATE TRIGGER audit_clock_change_update AFTER UPDATE ON clock_change BEGIN INSERT INTO audit_pending VALUES ('clock_change', OLD.id), ('clock_change', NEW.id); END;
CREATE TRIGGER audit_clock_change_delete AFTER DELETE ON clock_change BEGIN INSERT INTO audit_pending VALUES ('clock_change', OLD.id); END;
