-- People with accounts. They are disabled, never deleted: the audit log names them.
CREATE TABLE user (
  id         TEXT PRIMARY KEY,
  login      TEXT NOT NULL UNIQUE,
  roles      TEXT NOT NULL, -- with spaces between
  password   TEXT NOT NULL, -- Argon2id, PHC format
  disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  created_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER user_no_delete BEFORE DELETE ON user BEGIN SELECT RAISE(ABORT, 'users are disabled, never deleted'); END;
CREATE TRIGGER audit_user_insert AFTER INSERT ON user BEGIN INSERT INTO audit_pending VALUES ('user', NEW.id); END;
CREATE TRIGGER audit_user_update AFTER UPDATE ON user BEGIN INSERT INTO audit_pending VALUES ('user', OLD.id), ('user', NEW.id); END;
CREATE TRIGGER audit_user_delete AFTER DELETE ON user BEGIN INSERT INTO audit_pending VALUES ('user', OLD.id); END;
