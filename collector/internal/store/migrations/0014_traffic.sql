-- Which hosts workloads talk with: what agents count, and at which addresses hosts
-- say that they are known. Evidence for joining workloads into runs; no figure
-- depends on it.
CREATE TABLE host_address (
  address  BLOB NOT NULL, -- 4 or 16 bytes
  host     INTEGER NOT NULL REFERENCES host (no),
  first_ns INTEGER NOT NULL,
  last_ns  INTEGER NOT NULL, -- as told last
  PRIMARY KEY (address, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE traffic (
  workload INTEGER NOT NULL REFERENCES workload (no),
  host     INTEGER NOT NULL REFERENCES host (no),
  peer     BLOB    NOT NULL, -- address
  first_ns INTEGER NOT NULL,
  last_ns  INTEGER NOT NULL,
  sent     INTEGER NOT NULL, -- bytes
  received INTEGER NOT NULL,
  PRIMARY KEY (workload, host, peer)
) STRICT, WITHOUT ROWID;
