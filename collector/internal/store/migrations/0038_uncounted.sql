-- Batches that kept their place in the chain of their host and were not counted, because
-- their times could not be. Who counts anew what hosts signed has to leave them out, so
-- they are known for as long as the files of evidence that hold them, while the batch in
-- quarantine goes when others come.
CREATE TABLE uncounted (
  host TEXT NOT NULL,
  hash BLOB NOT NULL, -- SHA-256 of the envelope
  PRIMARY KEY (host, hash)
) STRICT, WITHOUT ROWID;
