-- The number by which hosts are spread over partitions: FNV-1a of the id in 32 bits,
-- -1 until the program has worked it out.
ALTER TABLE host ADD COLUMN spread INTEGER NOT NULL DEFAULT -1;

-- Who counts a partition of the hosts. Only who holds the newest fence may write what
-- it counted. allocations is the revision of allocations that it has to count by.
CREATE TABLE partition_lease (
  no          INTEGER NOT NULL,
  parts       INTEGER NOT NULL,
  owner       TEXT    NOT NULL,
  fence       INTEGER NOT NULL,
  allocations INTEGER NOT NULL,
  renewed_ns  INTEGER NOT NULL,
  PRIMARY KEY (no)
) STRICT, WITHOUT ROWID;

-- What was counted under each fence: no two terms of a partition overlap in revisions.
CREATE TABLE partition_term (
  no             INTEGER NOT NULL,
  fence          INTEGER NOT NULL,
  parts          INTEGER NOT NULL,
  owner          TEXT    NOT NULL,
  taken_ns       INTEGER NOT NULL,
  first_revision INTEGER NOT NULL,
  last_revision  INTEGER NOT NULL,
  first_ns       INTEGER NOT NULL,
  last_ns        INTEGER NOT NULL,
  checkpoints    INTEGER NOT NULL,
  batches        INTEGER NOT NULL,
  PRIMARY KEY (no, fence)
) STRICT, WITHOUT ROWID;
