-- Which hosts belong to the fleet. A host is the sum of its changes; what a
-- change says beside its act is JSON (package inventory). Only ever added.
CREATE TABLE inventory_change (
  no     INTEGER PRIMARY KEY,
  host   TEXT    NOT NULL,
  at_ns  INTEGER NOT NULL CHECK (at_ns > 0),
  by     TEXT    NOT NULL CHECK (by <> ''),
  act    TEXT    NOT NULL,
  reason TEXT    NOT NULL,
  says   TEXT    NOT NULL
) STRICT;
CREATE INDEX inventory_change_host ON inventory_change (host);
CREATE TRIGGER inventory_change_no_update BEFORE UPDATE ON inventory_change BEGIN SELECT RAISE(ABORT, 'changes of the inventory are never changed'); END;
CREATE TRIGGER inventory_change_no_delete BEFORE DELETE ON inventory_change BEGIN SELECT RAISE(ABORT, 'changes of the inventory are never deleted'); END;

-- Every key that a host ever had; none is bound a second time.
CREATE TABLE inventory_key (
  key  TEXT PRIMARY KEY, -- hex of the signing key, or the public nkey
  host TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER inventory_key_no_update BEFORE UPDATE ON inventory_key BEGIN SELECT RAISE(ABORT, 'keys of hosts are never changed'); END;
CREATE TRIGGER inventory_key_no_delete BEFORE DELETE ON inventory_key BEGIN SELECT RAISE(ABORT, 'keys of hosts are never deleted'); END;

CREATE TRIGGER audit_inventory_change_insert AFTER INSERT ON inventory_change BEGIN INSERT INTO audit_pending VALUES ('inventory_change', NEW.host); END;
CREATE TRIGGER audit_inventory_change_update AFTER UPDATE ON inventory_change BEGIN INSERT INTO audit_pending VALUES ('inventory_change', OLD.host), ('inventory_change', NEW.host); END;
CREATE TRIGGER audit_inventory_change_delete AFTER DELETE ON inventory_change BEGIN INSERT INTO audit_pending VALUES ('inventory_change', OLD.host); END;
CREATE TRIGGER audit_inventory_key_insert AFTER INSERT ON inventory_key BEGIN INSERT INTO audit_pending VALUES ('inventory_key', NEW.key); END;
CREATE TRIGGER audit_inventory_key_update AFTER UPDATE ON inventory_key BEGIN INSERT INTO audit_pending VALUES ('inventory_key', OLD.key), ('inventory_key', NEW.key); END;
CREATE TRIGGER audit_inventory_key_delete AFTER DELETE ON inventory_key BEGIN INSERT INTO audit_pending VALUES ('inventory_key', OLD.key); END;
