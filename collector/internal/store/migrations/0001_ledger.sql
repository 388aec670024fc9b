-- The ledger. Numbers ("no") are given by the collector; operations are whole
-- giga-operations, rates mega-operations per second, times Unix nanoseconds.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES
  ('revision', 0), ('watermark_ns', 0), ('batches', 0), ('windows', 0), ('quarantined', 0);

CREATE TABLE host (
  no            INTEGER PRIMARY KEY,
  id            TEXT    NOT NULL UNIQUE,
  public_key    BLOB    NOT NULL,
  name          TEXT    NOT NULL,
  os            TEXT    NOT NULL,
  kernel        TEXT    NOT NULL,
  agent_version TEXT    NOT NULL,
  boot_id       TEXT    NOT NULL,
  epoch         INTEGER NOT NULL,
  seq           INTEGER NOT NULL,
  hash          BLOB    NOT NULL,
  first_ns      INTEGER NOT NULL,
  last_ns       INTEGER NOT NULL,
  batches       INTEGER NOT NULL
) STRICT;

CREATE TABLE device (
  no         INTEGER PRIMARY KEY,
  host       INTEGER NOT NULL REFERENCES host (no),
  id         TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  pci_id     TEXT    NOT NULL,
  cc         TEXT    NOT NULL,
  sm_count   INTEGER NOT NULL,
  max_sm_mhz INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  parent     TEXT    NOT NULL,
  sku        TEXT    NOT NULL,
  grade      TEXT    NOT NULL,
  peak       INTEGER NOT NULL,
  ceiling    INTEGER NOT NULL,
  first_ns   INTEGER NOT NULL,
  last_ns    INTEGER NOT NULL,
  overlap_ns INTEGER NOT NULL,
  windows    INTEGER NOT NULL,
  recent_ops INTEGER NOT NULL,
  recent_ns  INTEGER NOT NULL,
  UNIQUE (host, id)
) STRICT;

CREATE TABLE workload (
  no   INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id   TEXT NOT NULL,
  hint TEXT NOT NULL,
  UNIQUE (kind, id, hint)
) STRICT;

CREATE TABLE tenant (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE method (
  no        INTEGER PRIMARY KEY,
  name      TEXT    NOT NULL,
  version   INTEGER NOT NULL,
  precision TEXT    NOT NULL,
  reason    TEXT    NOT NULL,
  grade     TEXT    NOT NULL,
  UNIQUE (name, version, precision, reason, grade)
) STRICT;

-- state: 1 attributed, 2 idle, 3 unattributed, 4 unobserved
CREATE TABLE segment (
  id          INTEGER PRIMARY KEY,
  device      INTEGER NOT NULL REFERENCES device (no),
  state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
  workload    INTEGER NOT NULL REFERENCES workload (no),
  tenant      INTEGER NOT NULL REFERENCES tenant (no),
  method      INTEGER NOT NULL REFERENCES method (no),
  start_ns    INTEGER NOT NULL,
  end_ns      INTEGER NOT NULL CHECK (end_ns >= start_ns),
  duration_ns INTEGER NOT NULL CHECK (duration_ns >= 0),
  ops_low     INTEGER NOT NULL CHECK (ops_low >= 0),
  ops_best    INTEGER NOT NULL CHECK (ops_best >= ops_low),
  ops_high    INTEGER NOT NULL CHECK (ops_high >= ops_best),
  ceiling     INTEGER NOT NULL,
  energy_mj   INTEGER NOT NULL
) STRICT;
CREATE INDEX segment_device ON segment (device, end_ns);
CREATE INDEX segment_tenant ON segment (tenant, workload);

-- Batches that were refused, and records of breaks in a host's chain
-- (reason chain_break: the batch itself was counted and lies in the evidence).
CREATE TABLE quarantine (
  id          INTEGER PRIMARY KEY,
  host        TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  detail      TEXT    NOT NULL,
  received_ns INTEGER NOT NULL,
  envelope    BLOB    NOT NULL
) STRICT;

-- Evidence files and the part of each that is committed.
CREATE TABLE evidence (
  day    TEXT PRIMARY KEY,
  bytes  INTEGER NOT NULL,
  frames INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Segments with their words.
CREATE VIEW segment_full AS
SELECT s.id, h.id AS host, h.name AS host_name, d.no AS device_no, d.id AS device, d.name AS device_name, d.sku,
       s.state, w.kind AS workload_kind, w.id AS workload, w.hint, t.id AS tenant,
       m.name AS method, m.version AS method_version, m.precision, m.reason, m.grade,
       s.start_ns, s.end_ns, s.duration_ns, s.ops_low, s.ops_best, s.ops_high, s.ceiling, s.energy_mj
FROM segment s
JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host
JOIN workload w ON w.no = s.workload JOIN tenant t ON t.no = s.tenant JOIN method m ON m.no = s.method;
