-- What hosts saw of workloads beside figures and tells which belong together: the
-- communicators they set up, the image they run, the checkpoints they read and
-- wrote. Words are opaque.
CREATE TABLE sign (
  workload_kind TEXT    NOT NULL,
  workload_id   TEXT    NOT NULL,
  host          INTEGER NOT NULL REFERENCES host (no),
  kind          TEXT    NOT NULL, -- of the event that told it
  word          TEXT    NOT NULL,
  first_ns      INTEGER NOT NULL,
  last_ns       INTEGER NOT NULL,
  ranks         INTEGER NOT NULL, -- of a communicator, how many take part; else 0
  PRIMARY KEY (workload_kind, workload_id, host, kind, word)
) STRICT, WITHOUT ROWID;

ALTER TABLE run ADD COLUMN image TEXT NOT NULL DEFAULT ''; -- that most of its hosts run, '' if not known
