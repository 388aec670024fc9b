CREATE TABLE role_grant (
  id      text COLLATE "C"    NOT NULL,
  no      bigint NOT NULL CHECK (no IN (0, 1)), 
  account text COLLATE "C"    NOT NULL REFERENCES "user" (id),
  state   text COLLATE "C"    NOT NULL CHECK (state IN ('proposed', 'granted', 'refused')),
  roles   text COLLATE "C"    NOT NULL, 
  by      text COLLATE "C"    NOT NULL, 
  at_ns   bigint NOT NULL,
  reason  text COLLATE "C"    NOT NULL,
  PRIMARY KEY (id, no)
);
CREATE INDEX role_grant_account ON role_grant (account);
CREATE TRIGGER role_grant_no_update BEFORE UPDATE ON role_grant FOR EACH ROW EXECUTE FUNCTION refuse('grants of roles are only added to');
CREATE TRIGGER role_grant_no_delete BEFORE DELETE ON role_grant FOR EACH ROW EXECUTE FUNCTION refuse('grants of roles are never deleted');
CREATE TRIGGER audit_role_grant_insert AFTER INSERT ON role_grant FOR EACH ROW EXECUTE FUNCTION pend('role_grant', 'id');
CREATE TRIGGER audit_role_grant_update AFTER UPDATE ON role_grant FOR EACH ROW EXECUTE FUNCTION pend('role_grant', 'id');
CREATE TRIGGER audit_role_grant_delete AFTER DELETE ON role_grant FOR EACH ROW EXECUTE FUNCTION pend('role_grant', 'id');
