-- How simulations stand, for whoever is asked: the collector that runs one says so each
-- second. One whose beat does not move is of a collector that is gone.
CREATE TABLE job (
  id         TEXT    NOT NULL,
  policy     TEXT    NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  phase      TEXT    NOT NULL,
  done       INTEGER NOT NULL,
  whole      INTEGER NOT NULL,
  simulation TEXT    NOT NULL, -- '' before there is one
  digest     TEXT    NOT NULL,
  error      TEXT    NOT NULL,
  cancel     INTEGER NOT NULL CHECK (cancel IN (0, 1)), -- somebody asked for its end
  begun_ns   INTEGER NOT NULL,
  beat_ns    INTEGER NOT NULL,
  PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_begun ON job (begun_ns);
