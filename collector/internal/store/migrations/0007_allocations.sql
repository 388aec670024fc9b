-- Whose time is whose. An allocation is never edited: of the rows with one id
-- the last counts.
CREATE TABLE allocation (
  no            INTEGER PRIMARY KEY,
  id            TEXT    NOT NULL,
  host          TEXT    NOT NULL, -- id or name, '' for every host
  device        TEXT    NOT NULL,
  workload_kind TEXT    NOT NULL,
  workload      TEXT    NOT NULL,
  tenant        TEXT    NOT NULL,
  from_ns       INTEGER NOT NULL CHECK (from_ns > 0),
  to_ns         INTEGER NOT NULL CHECK (to_ns = 0 OR to_ns >= from_ns), -- 0: no end; from_ns: withdrawn
  recorded_ns   INTEGER NOT NULL
) STRICT;
CREATE INDEX allocation_id ON allocation (id, no);
CREATE TRIGGER allocation_no_update BEFORE UPDATE ON allocation BEGIN SELECT RAISE(ABORT, 'allocations are never changed'); END;
CREATE TRIGGER allocation_no_delete BEFORE DELETE ON allocation BEGIN SELECT RAISE(ABORT, 'allocations are never deleted'); END;
-- Grows with every change of the allocations.
INSERT INTO meta (key, value) VALUES ('allocations', 0);

-- What the host claims of a segment that was counted as an allocation says;
-- claim_state 0: it is counted as claimed.
ALTER TABLE segment ADD COLUMN claim_state INTEGER NOT NULL DEFAULT 0 CHECK (claim_state BETWEEN 0 AND 4);
ALTER TABLE segment ADD COLUMN claim INTEGER REFERENCES tenant (no);

-- Entries that give a part of a segment to another owner. Only ever added.
CREATE TABLE correction (
  id            INTEGER PRIMARY KEY,
  segment       INTEGER NOT NULL REFERENCES segment (id),
  from_ns       INTEGER NOT NULL,
  to_ns         INTEGER NOT NULL CHECK (to_ns >= from_ns),
  state_before  INTEGER NOT NULL CHECK (state_before BETWEEN 1 AND 4),
  tenant_before INTEGER NOT NULL REFERENCES tenant (no),
  state_after   INTEGER NOT NULL CHECK (state_after BETWEEN 1 AND 4),
  tenant_after  INTEGER NOT NULL REFERENCES tenant (no),
  duration_ns   INTEGER NOT NULL CHECK (duration_ns >= 0),
  ops_low       INTEGER NOT NULL CHECK (ops_low >= 0),
  ops_best      INTEGER NOT NULL CHECK (ops_best >= ops_low),
  ops_high      INTEGER NOT NULL CHECK (ops_high >= ops_best),
  ops_float     INTEGER NOT NULL CHECK (ops_float >= 0),
  ceiling       INTEGER NOT NULL,
  energy_mj     INTEGER NOT NULL,
  allocations   INTEGER NOT NULL, -- meta 'allocations' that it follows from
  recorded_ns   INTEGER NOT NULL
) STRICT;
CREATE INDEX correction_segment ON correction (segment);
CREATE TRIGGER correction_no_update BEFORE UPDATE ON correction BEGIN SELECT RAISE(ABORT, 'corrections are never changed'); END;
CREATE TRIGGER correction_no_delete BEFORE DELETE ON correction BEGIN SELECT RAISE(ABORT, 'corrections are never deleted'); END;
CREATE TRIGGER segment_corrected BEFORE UPDATE ON segment WHEN EXISTS (SELECT 1 FROM correction WHERE segment = OLD.id)
  BEGIN SELECT RAISE(ABORT, 'a corrected segment is never changed'); END;

-- How corrected segments are cut now: segment and corrections together. Derived;
-- the pieces of a segment are replaced as a whole and add up to it.
CREATE TABLE piece (
  segment     INTEGER NOT NULL REFERENCES segment (id),
  no          INTEGER NOT NULL,
  from_ns     INTEGER NOT NULL,
  to_ns       INTEGER NOT NULL,
  state       INTEGER NOT NULL,
  tenant      INTEGER NOT NULL,
  duration_ns INTEGER NOT NULL,
  ops_low     INTEGER NOT NULL,
  ops_best    INTEGER NOT NULL,
  ops_high    INTEGER NOT NULL,
  ops_float   INTEGER NOT NULL,
  ceiling     INTEGER NOT NULL,
  energy_mj   INTEGER NOT NULL,
  PRIMARY KEY (segment, no)
) STRICT, WITHOUT ROWID;
CREATE INDEX piece_tenant ON piece (tenant);

-- Findings about what one host claims are bounded.
CREATE INDEX finding_subject ON finding (subject, rule);

-- Segments as they are counted. Where nothing is corrected it is the table
-- segment, which is faster to read.
CREATE VIEW counted AS
SELECT id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high, ops_float, ceiling, energy_mj
FROM segment WHERE id NOT IN (SELECT segment FROM piece)
UNION ALL
SELECT s.id, s.device, p.state, s.workload, p.tenant, s.method, p.from_ns, p.to_ns, p.duration_ns, p.ops_low, p.ops_best, p.ops_high, p.ops_float, p.ceiling, p.energy_mj
FROM piece p CROSS JOIN segment s ON s.id = p.segment;
