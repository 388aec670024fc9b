CREATE TABLE api_token_network (
  token    text COLLATE "C" PRIMARY KEY REFERENCES api_token (id),
  networks text COLLATE "C" NOT NULL 
);
CREATE TABLE api_token_elsewhere (
  token   text COLLATE "C"    PRIMARY KEY REFERENCES api_token (id),
  tries   bigint NOT NULL,
  last_ns bigint NOT NULL
);
CREATE TRIGGER api_token_network_no_delete BEFORE DELETE ON api_token_network FOR EACH ROW EXECUTE FUNCTION refuse('the networks of a token stand as they were made');
CREATE TRIGGER api_token_network_no_update BEFORE UPDATE ON api_token_network FOR EACH ROW EXECUTE FUNCTION refuse('the networks of a token stand as they were made');
CREATE TRIGGER audit_api_token_network_insert AFTER INSERT ON api_token_network FOR EACH ROW EXECUTE FUNCTION pend('api_token_network', 'token');
CREATE TRIGGER audit_api_token_network_update AFTER UPDATE ON api_token_network FOR EACH ROW EXECUTE FUNCTION pend('api_token_network', 'token');
CREATE TRIGGER audit_api_token_network_delete AFTER DELETE ON api_token_network FOR EACH ROW EXECUTE FUNCTION pend('api_token_network', 'token');
