CREATE TABLE carried (
  host  bigint PRIMARY KEY REFERENCES host (no),
  state bytea    NOT NULL
);
