-- What restating figures needs once the precision of work is declared: the part
-- of best that floating tensor pipes did, at the 16-bit rate.
ALTER TABLE segment ADD COLUMN ops_float INTEGER NOT NULL DEFAULT 0 CHECK (ops_float >= 0);

-- What hosts report beside figures. Insert-only.
CREATE TABLE event (
  id      INTEGER PRIMARY KEY,
  host    INTEGER NOT NULL REFERENCES host (no),
  device  TEXT    NOT NULL, -- '' for the host
  time_ns INTEGER NOT NULL,
  kind    TEXT    NOT NULL,
  code    INTEGER NOT NULL,
  detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX event_host ON event (host, time_ns);
