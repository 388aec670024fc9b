-- Roles that one administrator proposes and another one gives. A grant has one row when
-- it is proposed and one more when it is decided, and none that is changed.
CREATE TABLE role_grant (
  id      TEXT    NOT NULL,
  no      INTEGER NOT NULL CHECK (no IN (0, 1)), -- 0 is the proposal, 1 what became of it
  account TEXT    NOT NULL REFERENCES "user" (id),
  state   TEXT    NOT NULL CHECK (state IN ('proposed', 'granted', 'refused')),
  roles   TEXT    NOT NULL, -- which the account is to have besides its own, with spaces between
  by      TEXT    NOT NULL, -- account of who proposed or decided
  at_ns   INTEGER NOT NULL,
  reason  TEXT    NOT NULL,
  PRIMARY KEY (id, no)
) STRICT, WITHOUT ROWID;
CREATE INDEX role_grant_account ON role_grant (account);
CREATE TRIGGER role_grant_no_update BEFORE UPDATE ON role_grant BEGIN SELECT RAISE(ABORT, 'grants of roles are only added to'); END;
CREATE TRIGGER role_grant_no_delete BEFORE DELETE ON role_grant BEGIN SELECT RAISE(ABORT, 'grants of roles are never deleted'); END;
CREATE TRIGGER audit_role_grant_insert AFTER INSERT ON role_grant BEGIN INSERT INTO audit_pending VALUES ('role_grant', NEW.id); END;
CREATE TRIGGER audit_role_grant_update AFTER UPDATE ON role_grant BEGIN INSERT INTO audit_pending VALUES ('role_grant', OLD.id), ('role_grant', NEW.id); END;
CREATE TRIGGER audit_role_grant_delete AFTER DELETE ON role_grant BEGIN INSERT INTO audit_pending VALUES ('role_grant', OLD.id); END;
