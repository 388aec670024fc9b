-- Networks from which alone a token is taken; a token without a row is taken from
-- everywhere. They are said when it is made and never changed.
CREATE TABLE api_token_network (
  token    TEXT PRIMARY KEY REFERENCES api_token (id),
  networks TEXT NOT NULL -- CIDR, with commas between
) STRICT, WITHOUT ROWID;
-- How often each token was tried from elsewhere, and when last, to the minute.
CREATE TABLE api_token_elsewhere (
  token   TEXT    PRIMARY KEY REFERENCES api_token (id),
  tries   INTEGER NOT NULL,
  last_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER api_token_network_no_delete BEFORE DELETE ON api_token_network BEGIN SELECT RAISE(ABORT, 'the networks of a token stand as they were made'); END;
CREATE TRIGGER api_token_network_no_update BEFORE UPDATE ON api_token_network BEGIN SELECT RAISE(ABORT, 'the networks of a token stand as they were made'); END;
CREATE TRIGGER audit_api_token_network_insert AFTER INSERT ON api_token_network BEGIN INSERT INTO audit_pending VALUES ('api_token_network', NEW.token); END;
CREATE TRIGGER audit_api_token_network_update AFTER UPDATE ON api_token_network BEGIN INSERT INTO audit_pending VALUES ('api_token_network', OLD.token), ('api_token_network', NEW.token); END;
CREATE TRIGGER audit_api_token_network_delete AFTER DELETE ON api_token_network BEGIN INSERT INTO audit_pending VALUES ('api_token_network', OLD.token); END;
