-- What people have besides their passwords. Secrets are sealed under a key of the
-- collector, recovery codes are hashed and leave the row when they are used.
CREATE TABLE second_factor (
  account  TEXT    PRIMARY KEY REFERENCES "user" (id),
  sealed   BLOB    NOT NULL,
  step     INTEGER NOT NULL, -- of the last code that was used
  recovery TEXT    NOT NULL, -- hashes, with spaces between
  made_ns  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Accounts of one human. They are joined, never parted: who proposed through one
-- cannot approve through another later.
CREATE TABLE same_person (
  account TEXT PRIMARY KEY REFERENCES "user" (id),
  person  TEXT NOT NULL -- the account that stands for the human
) STRICT, WITHOUT ROWID;
CREATE INDEX same_person_person ON same_person (person);
-- Accounts of people whom an identity provider knows.
CREATE TABLE outside_identity (
  account TEXT    PRIMARY KEY REFERENCES "user" (id),
  issuer  TEXT    NOT NULL,
  subject TEXT    NOT NULL,
  made_ns INTEGER NOT NULL,
  UNIQUE (issuer, subject)
) STRICT, WITHOUT ROWID;
-- Tokens by which programs ask for the person who made them. Their text is not kept.
CREATE TABLE api_token (
  id         TEXT    PRIMARY KEY,
  hash       TEXT    NOT NULL UNIQUE, -- SHA-256 of the text, in hexadecimal digits
  account    TEXT    NOT NULL REFERENCES "user" (id),
  name       TEXT    NOT NULL,
  service    INTEGER NOT NULL CHECK (service IN (0, 1)),
  scope      TEXT    NOT NULL, -- actions, with commas between
  made_ns    INTEGER NOT NULL,
  expires_ns INTEGER NOT NULL,
  revoked_ns INTEGER NOT NULL -- 0 while it holds
) STRICT, WITHOUT ROWID;
CREATE INDEX api_token_account ON api_token (account);
-- When each token was last used, to the minute.
CREATE TABLE api_token_use (
  token   TEXT    PRIMARY KEY REFERENCES api_token (id),
  used_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER same_person_no_delete BEFORE DELETE ON same_person BEGIN SELECT RAISE(ABORT, 'accounts of one human are never parted'); END;
CREATE TRIGGER outside_identity_no_delete BEFORE DELETE ON outside_identity BEGIN SELECT RAISE(ABORT, 'accounts are disabled, never deleted'); END;
CREATE TRIGGER api_token_no_delete BEFORE DELETE ON api_token BEGIN SELECT RAISE(ABORT, 'tokens are revoked, never deleted'); END;

CREATE TRIGGER audit_second_factor_insert AFTER INSERT ON second_factor BEGIN INSERT INTO audit_pending VALUES ('second_factor', NEW.account); END;
CREATE TRIGGER audit_second_factor_update AFTER UPDATE ON second_factor BEGIN INSERT INTO audit_pending VALUES ('second_factor', OLD.account), ('second_factor', NEW.account); END;
CREATE TRIGGER audit_second_factor_delete AFTER DELETE ON second_factor BEGIN INSERT INTO audit_pending VALUES ('second_factor', OLD.account); END;
CREATE TRIGGER audit_same_person_insert AFTER INSERT ON same_person BEGIN INSERT INTO audit_pending VALUES ('same_person', NEW.account); END;
CREATE TRIGGER audit_same_person_update AFTER UPDATE ON same_person BEGIN INSERT INTO audit_pending VALUES ('same_person', OLD.account), ('same_person', NEW.account); END;
CREATE TRIGGER audit_same_person_delete AFTER DELETE ON same_person BEGIN INSERT INTO audit_pending VALUES ('same_person', OLD.account); END;
CREATE TRIGGER audit_outside_identity_insert AFTER INSERT ON outside_identity BEGIN INSERT INTO audit_pending VALUES ('outside_identity', NEW.account); END;
CREATE TRIGGER audit_outside_identity_update AFTER UPDATE ON outside_identity BEGIN INSERT INTO audit_pending VALUES ('outside_identity', OLD.account), ('outside_identity', NEW.account); END;
CREATE TRIGGER audit_outside_identity_delete AFTER DELETE ON outside_identity BEGIN INSERT INTO audit_pending VALUES ('outside_identity', OLD.account); END;
CREATE TRIGGER audit_api_token_insert AFTER INSERT ON api_token BEGIN INSERT INTO audit_pending VALUES ('api_token', NEW.id); END;
CREATE TRIGGER audit_api_token_update AFTER UPDATE ON api_token BEGIN INSERT INTO audit_pending VALUES ('api_token', OLD.id), ('api_token', NEW.id); END;
CREATE TRIGGER audit_api_token_delete AFTER DELETE ON api_token BEGIN INSERT INTO audit_pending VALUES ('api_token', OLD.id); END;
