CREATE TABLE collector (
  id      text COLLATE "C"    NOT NULL,
  name    text COLLATE "C"    NOT NULL,
  beat    bigint NOT NULL,
  beat_ns bigint NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE tenant_change (
  tenant   text COLLATE "C"    NOT NULL,
  revision bigint NOT NULL,
  PRIMARY KEY (tenant)
);
INSERT INTO meta (key, value) VALUES ('leader', 0);
