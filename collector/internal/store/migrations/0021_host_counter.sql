-- The counter that each enrolled host shows when it connects. It changes with
-- each connection and tells a host from a copy of it; what follows from it, such
-- as that a host is suspected, is in inventory_change.
CREATE TABLE host_counter (
  host      TEXT    PRIMARY KEY,
  number    INTEGER NOT NULL CHECK (number >= 0), -- the newest that was given out
  word      TEXT    NOT NULL,                     -- with which the one before was shown
  recovered INTEGER NOT NULL CHECK (recovered >= 0) -- how often an outdated one was let through since a person decided
) STRICT, WITHOUT ROWID;
