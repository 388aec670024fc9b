-- The audit log: leaves, nodes of the Merkle tree over them, and signed
-- checkpoints. They are only ever added.
CREATE TABLE audit_leaf (
  seq    INTEGER PRIMARY KEY,
  at_ns  INTEGER NOT NULL,
  actor  TEXT NOT NULL,
  action TEXT NOT NULL,
  kind   TEXT NOT NULL,
  object TEXT NOT NULL,
  leaf   BLOB NOT NULL -- the entry; the columns before it only find it
) STRICT;
CREATE INDEX audit_leaf_object ON audit_leaf (kind, object, seq);
CREATE TABLE audit_node (
  no   INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE audit_checkpoint (
  size  INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  note  TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_leaf_no_update BEFORE UPDATE ON audit_leaf BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
CREATE TRIGGER audit_leaf_no_delete BEFORE DELETE ON audit_leaf BEGIN SELECT RAISE(ABORT, 'the audit log is never deleted'); END;
CREATE TRIGGER audit_node_no_update BEFORE UPDATE ON audit_node BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
CREATE TRIGGER audit_node_no_delete BEFORE DELETE ON audit_node BEGIN SELECT RAISE(ABORT, 'the audit log is never deleted'); END;
CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON audit_checkpoint BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END;
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint BEGIN SELECT RAISE(ABORT, 'checkpoints are never deleted'); END;

-- Objects that changed in this transaction, some more than once: INSERT OR IGNORE
-- in a trigger fails when an upsert sets it off. It is empty when a transaction is
-- committed: each has become an entry by then. What another program leaves here
-- is told.
CREATE TABLE audit_pending (
  kind   TEXT NOT NULL,
  object TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_finding_insert AFTER INSERT ON finding BEGIN INSERT INTO audit_pending VALUES ('finding', NEW.id); END;
CREATE TRIGGER audit_finding_update AFTER UPDATE ON finding BEGIN INSERT INTO audit_pending VALUES ('finding', OLD.id), ('finding', NEW.id); END;
CREATE TRIGGER audit_finding_delete AFTER DELETE ON finding BEGIN INSERT INTO audit_pending VALUES ('finding', OLD.id); END;
CREATE TRIGGER audit_allocation_insert AFTER INSERT ON allocation BEGIN INSERT INTO audit_pending VALUES ('allocation', NEW.id); END;
CREATE TRIGGER audit_allocation_update AFTER UPDATE ON allocation BEGIN INSERT INTO audit_pending VALUES ('allocation', OLD.id), ('allocation', NEW.id); END;
CREATE TRIGGER audit_allocation_delete AFTER DELETE ON allocation BEGIN INSERT INTO audit_pending VALUES ('allocation', OLD.id); END;
CREATE TRIGGER audit_customer_insert AFTER INSERT ON customer BEGIN INSERT INTO audit_pending VALUES ('customer', NEW.id); END;
CREATE TRIGGER audit_customer_update AFTER UPDATE ON customer BEGIN INSERT INTO audit_pending VALUES ('customer', OLD.id), ('customer', NEW.id); END;
CREATE TRIGGER audit_customer_delete AFTER DELETE ON customer BEGIN INSERT INTO audit_pending VALUES ('customer', OLD.id); END;
CREATE TRIGGER audit_customer_tenant_insert AFTER INSERT ON customer_tenant BEGIN INSERT INTO audit_pending VALUES ('customer', NEW.customer); END;
CREATE TRIGGER audit_customer_tenant_update AFTER UPDATE ON customer_tenant BEGIN INSERT INTO audit_pending VALUES ('customer', OLD.customer), ('customer', NEW.customer); END;
CREATE TRIGGER audit_customer_tenant_delete AFTER DELETE ON customer_tenant BEGIN INSERT INTO audit_pending VALUES ('customer', OLD.customer); END;
