CREATE TABLE uncounted (
  host text COLLATE "C" NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (host, hash)
);
