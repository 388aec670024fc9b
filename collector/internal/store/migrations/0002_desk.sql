-- What the desk derives from the ledger, and who the tenants belong to.
CREATE TABLE customer (
  id            TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  country       TEXT NOT NULL,
  status        TEXT NOT NULL CHECK (status IN ('foreign', 'us', 'undetermined')),
  status_reason TEXT NOT NULL,
  demonstration INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE customer_tenant (
  tenant   TEXT PRIMARY KEY,
  customer TEXT NOT NULL REFERENCES customer (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX customer_tenant_customer ON customer_tenant (customer);

-- Runs are derived: those of a tenant are replaced as a whole.
CREATE TABLE run (
  id           TEXT PRIMARY KEY,
  tenant       TEXT NOT NULL,
  label        TEXT NOT NULL,
  joined_by    TEXT NOT NULL,
  hosts        INTEGER NOT NULL,
  devices      INTEGER NOT NULL,
  accelerators TEXT NOT NULL,
  methods      TEXT NOT NULL,
  start_ns     INTEGER NOT NULL,
  end_ns       INTEGER NOT NULL,
  attributed_s INTEGER NOT NULL, attributed_ns INTEGER NOT NULL, -- seconds, and the sum of what is below one
  unobserved_s INTEGER NOT NULL, unobserved_ns INTEGER NOT NULL,
  emp_low INTEGER NOT NULL, emp_best INTEGER NOT NULL, emp_high INTEGER NOT NULL,
  theo_low INTEGER NOT NULL, theo_best INTEGER NOT NULL, theo_high INTEGER NOT NULL,
  ceiling      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_tenant ON run (tenant);

-- Findings are only ever added.
CREATE TABLE finding (
  no             INTEGER PRIMARY KEY,
  id             TEXT NOT NULL UNIQUE,
  pack           TEXT NOT NULL,
  pack_version   INTEGER NOT NULL,
  pack_digest    BLOB NOT NULL,
  pack_status    TEXT NOT NULL,
  rule           TEXT NOT NULL,
  citation       TEXT NOT NULL,
  level          TEXT NOT NULL,
  severity       TEXT NOT NULL,
  subject        TEXT NOT NULL,
  tenant         TEXT NOT NULL,
  customer       TEXT NOT NULL,
  customer_name  TEXT NOT NULL,
  foreign_status TEXT NOT NULL,
  threshold      INTEGER NOT NULL,
  ops_low INTEGER NOT NULL, ops_best INTEGER NOT NULL, ops_high INTEGER NOT NULL,
  reason         TEXT NOT NULL,
  occurred_ns    INTEGER NOT NULL,
  signalled_ns   INTEGER NOT NULL
) STRICT;
CREATE TRIGGER finding_no_update BEFORE UPDATE ON finding BEGIN SELECT RAISE(ABORT, 'findings are never changed'); END;
CREATE TRIGGER finding_no_delete BEFORE DELETE ON finding BEGIN SELECT RAISE(ABORT, 'findings are never deleted'); END;
