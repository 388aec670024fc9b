-- What hosts counted since their rows in host, device and segment were written, packed
-- by package ledger: how far each is, and the figures that grew. Written in the
-- transaction that keeps the evidence, so that nothing is counted twice; gone when the
-- rows are written. Rows agree among themselves without it.
CREATE TABLE carried (
  host  INTEGER PRIMARY KEY REFERENCES host (no),
  state BLOB    NOT NULL
) STRICT;
