CREATE TABLE second_factor (
  account  text COLLATE "C"    PRIMARY KEY REFERENCES "user" (id),
  sealed   bytea    NOT NULL,
  step     bigint NOT NULL, 
  recovery text COLLATE "C"    NOT NULL, 
  made_ns  bigint NOT NULL
);
CREATE TABLE same_person (
  account text COLLATE "C" PRIMARY KEY REFERENCES "user" (id),
  person  text COLLATE "C" NOT NULL 
);
CREATE INDEX same_person_person ON same_person (person);
CREATE TABLE outside_identity (
  account text COLLATE "C"    PRIMARY KEY REFERENCES "user" (id),
  issuer  text COLLATE "C"    NOT NULL,
  subject text COLLATE "C"    NOT NULL,
  made_ns bigint NOT NULL,
  UNIQUE (issuer, subject)
);
CREATE TABLE api_token (
  id         text COLLATE "C"    PRIMARY KEY,
  hash       text COLLATE "C"    NOT NULL UNIQUE, 
  account    text COLLATE "C"    NOT NULL REFERENCES "user" (id),
  name       text COLLATE "C"    NOT NULL,
  service    bigint NOT NULL CHECK (service IN (0, 1)),
  scope      text COLLATE "C"    NOT NULL, 
  made_ns    bigint NOT NULL,
  expires_ns bigint NOT NULL,
  revoked_ns bigint NOT NULL 
);
CREATE INDEX api_token_account ON api_token (account);
CREATE TABLE api_token_use (
  token   text COLLATE "C"    PRIMARY KEY REFERENCES api_token (id),
  used_ns bigint NOT NULL
);
CREATE TRIGGER same_person_no_delete BEFORE DELETE ON same_person FOR EACH ROW EXECUTE FUNCTION refuse('accounts of one human are never parted');
CREATE TRIGGER outside_identity_no_delete BEFORE DELETE ON outside_identity FOR EACH ROW EXECUTE FUNCTION refuse('accounts are disabled, never deleted');
CREATE TRIGGER api_token_no_delete BEFORE DELETE ON api_token FOR EACH ROW EXECUTE FUNCTION refuse('tokens are revoked, never deleted');
CREATE TRIGGER audit_second_factor_insert AFTER INSERT ON second_factor FOR EACH ROW EXECUTE FUNCTION pend('second_factor', 'account');
CREATE TRIGGER audit_second_factor_update AFTER UPDATE ON second_factor FOR EACH ROW EXECUTE FUNCTION pend('second_factor', 'account');
CREATE TRIGGER audit_second_factor_delete AFTER DELETE ON second_factor FOR EACH ROW EXECUTE FUNCTION pend('second_factor', 'account');
CREATE TRIGGER audit_same_person_insert AFTER INSERT ON same_person FOR EACH ROW EXECUTE FUNCTION pend('same_person', 'account');
CREATE TRIGGER audit_same_person_update AFTER UPDATE ON same_person FOR EACH ROW EXECUTE FUNCTION pend('same_person', 'account');
CREATE TRIGGER audit_same_person_delete AFTER DELETE ON same_person FOR EACH ROW EXECUTE FUNCTION pend('same_person', 'account');
CREATE TRIGGER audit_outside_identity_insert AFTER INSERT ON outside_identity FOR EACH ROW EXECUTE FUNCTION pend('outside_identity', 'account');
CREATE TRIGGER audit_outside_identity_update AFTER UPDATE ON outside_identity FOR EACH ROW EXECUTE FUNCTION pend('outside_identity', 'account');
CREATE TRIGGER audit_outside_identity_delete AFTER DELETE ON outside_identity FOR EACH ROW EXECUTE FUNCTION pend('outside_identity', 'account');
CREATE TRIGGER audit_api_token_insert AFTER INSERT ON api_token FOR EACH ROW EXECUTE FUNCTION pend('api_token', 'id');
CREATE TRIGGER audit_api_token_update AFTER UPDATE ON api_token FOR EACH ROW EXECUTE FUNCTION pend('api_token', 'id');
CREATE TRIGGER audit_api_token_delete AFTER DELETE ON api_token FOR EACH ROW EXECUTE FUNCTION pend('api_token', 'id');
