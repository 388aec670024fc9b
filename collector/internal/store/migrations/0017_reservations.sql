-- What customers have reserved. A record is never changed: a later one with the
-- same id takes its place, one that ends where it begins withdraws it.
CREATE TABLE reservation (
  no             INTEGER PRIMARY KEY,
  id             TEXT NOT NULL,
  tenant         TEXT NOT NULL,
  accelerator    TEXT NOT NULL,
  devices        INTEGER NOT NULL,
  from_ns        INTEGER NOT NULL,
  to_ns          INTEGER NOT NULL,
  network_gbit_s INTEGER NOT NULL, -- 0 where it is not stated
  recorded_ns    INTEGER NOT NULL
) STRICT;
CREATE INDEX reservation_id ON reservation (id, no);
CREATE TRIGGER reservation_no_update BEFORE UPDATE ON reservation BEGIN SELECT RAISE(ABORT, 'reservations are never changed'); END;
CREATE TRIGGER reservation_no_delete BEFORE DELETE ON reservation BEGIN SELECT RAISE(ABORT, 'reservations are never deleted'); END;
CREATE TRIGGER audit_reservation_insert AFTER INSERT ON reservation BEGIN INSERT INTO audit_pending VALUES ('reservation', NEW.id); END;
CREATE TRIGGER audit_reservation_update AFTER UPDATE ON reservation BEGIN INSERT INTO audit_pending VALUES ('reservation', OLD.id), ('reservation', NEW.id); END;
CREATE TRIGGER audit_reservation_delete AFTER DELETE ON reservation BEGIN INSERT INTO audit_pending VALUES ('reservation', OLD.id); END;
