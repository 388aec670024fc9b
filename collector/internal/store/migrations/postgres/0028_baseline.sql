-- The schema of PostgreSQL as migrations 1 to 28 leave it in SQLite: the same
-- tables, columns, keys and triggers by the same names, with the same words about
-- them there. A test holds the two against each other. Texts are compared byte by
-- byte whatever the locale of the database is.

-- What SQLite has and PostgreSQL has not, or has otherwise. search_path puts this
-- schema before pg_catalog, so that a sum of bigint is a bigint and not a numeric.
CREATE FUNCTION max(a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS 'SELECT CASE WHEN a >= b THEN a WHEN a < b THEN b END';
CREATE FUNCTION min(a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS 'SELECT CASE WHEN a <= b THEN a WHEN a > b THEN b END';
CREATE FUNCTION max(a bigint, b bigint, c bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS 'SELECT CASE WHEN a >= b AND a >= c THEN a WHEN b >= c AND b > a THEN b WHEN c > a AND c > b THEN c END';
CREATE FUNCTION min(a bigint, b bigint, c bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS 'SELECT CASE WHEN a <= b AND a <= c THEN a WHEN b <= c AND b < a THEN b WHEN c < a AND c < b THEN c END';
CREATE AGGREGATE sum(bigint) (SFUNC = pg_catalog.int8pl, STYPE = bigint, COMBINEFUNC = pg_catalog.int8pl, PARALLEL = SAFE);
CREATE FUNCTION concat_next(so_far text, next text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$SELECT CASE WHEN next IS NULL THEN so_far WHEN so_far IS NULL THEN next ELSE so_far || ',' || next END$$;
CREATE FUNCTION concat_next(so_far text, next bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$SELECT CASE WHEN next IS NULL THEN so_far WHEN so_far IS NULL THEN next::text ELSE so_far || ',' || next END$$;
CREATE AGGREGATE group_concat(text) (SFUNC = concat_next, STYPE = text, PARALLEL = SAFE);
CREATE AGGREGATE group_concat(bigint) (SFUNC = concat_next, STYPE = text, PARALLEL = SAFE);
CREATE FUNCTION hex(data bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$SELECT upper(encode(data, 'hex'))$$;
CREATE FUNCTION json_each(list text) RETURNS TABLE (value text) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 4
  AS $$SELECT pg_catalog.jsonb_array_elements_text(CASE pg_catalog.jsonb_typeof(list::jsonb) WHEN 'array' THEN list::jsonb ELSE '[]' END)$$;
CREATE FUNCTION json_extract(body text, path text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$SELECT pg_catalog.jsonb_path_query_first(body::jsonb, path::jsonpath) #>> '{}'$$;

-- Refuses what the trigger is for, with its words.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

-- Rows of a table get their numbers in the order in which they are committed, so that
-- who reads on after the last number misses none: writers of it wait for each other,
-- by the lock of the audit log (0x666c6f70, 3).
CREATE FUNCTION in_order() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1718382448, 3);
  RETURN NULL;
END $$;

-- Makes an object of the kind pending for the audit log: the row's value of the
-- column is its id, and where there is no column the kind has one object of its name.
CREATE FUNCTION pend() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
DECLARE
  id text;
BEGIN
  IF TG_ARGV[1] = '' THEN
    INSERT INTO audit_pending VALUES (TG_ARGV[0], TG_ARGV[0]);
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    EXECUTE format('SELECT ($1).%I', TG_ARGV[1]) INTO id USING OLD;
    INSERT INTO audit_pending VALUES (TG_ARGV[0], id);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    EXECUTE format('SELECT ($1).%I', TG_ARGV[1]) INTO id USING NEW;
    INSERT INTO audit_pending VALUES (TG_ARGV[0], id);
  END IF;
  RETURN NULL;
END $$;

CREATE TABLE meta (
  key   text COLLATE "C" PRIMARY KEY,
  value bigint NOT NULL
);
INSERT INTO meta (key, value) VALUES ('revision', 0), ('watermark_ns', 0), ('batches', 0), ('windows', 0), ('quarantined', 0),
  ('customers', 0), ('allocations', 0), ('policies', 0);

CREATE TABLE host (
  no            bigint PRIMARY KEY,
  id            text COLLATE "C" NOT NULL UNIQUE,
  public_key    bytea NOT NULL,
  name          text COLLATE "C" NOT NULL,
  os            text COLLATE "C" NOT NULL,
  kernel        text COLLATE "C" NOT NULL,
  agent_version text COLLATE "C" NOT NULL,
  boot_id       text COLLATE "C" NOT NULL,
  epoch         bigint NOT NULL,
  seq           bigint NOT NULL,
  hash          bytea NOT NULL,
  first_ns      bigint NOT NULL,
  last_ns       bigint NOT NULL,
  batches       bigint NOT NULL,
  attribution text COLLATE "C" NOT NULL DEFAULT '',
  settings bigint NOT NULL DEFAULT 0,
  clock_boot_ns bigint NOT NULL DEFAULT 0,
  clock_shift_ns bigint NOT NULL DEFAULT 0,
  clock_step_ns bigint NOT NULL DEFAULT 0,
  clock_sealed_ns bigint NOT NULL DEFAULT 0,
  clock_lag_ns bigint NOT NULL DEFAULT 0,
  energy_slot_ns bigint NOT NULL DEFAULT 0,
  energy_mj bigint NOT NULL DEFAULT 0,
  energy_known_ns bigint NOT NULL DEFAULT 0
);

CREATE TABLE device (
  no         bigint PRIMARY KEY,
  host       bigint NOT NULL REFERENCES host (no),
  id         text COLLATE "C" NOT NULL,
  name       text COLLATE "C" NOT NULL,
  pci_id     text COLLATE "C" NOT NULL,
  cc         text COLLATE "C" NOT NULL,
  sm_count   bigint NOT NULL,
  max_sm_mhz bigint NOT NULL,
  memory_mib bigint NOT NULL,
  parent     text COLLATE "C" NOT NULL,
  sku        text COLLATE "C" NOT NULL,
  grade      text COLLATE "C" NOT NULL,
  peak       bigint NOT NULL,
  ceiling    bigint NOT NULL,
  first_ns   bigint NOT NULL,
  last_ns    bigint NOT NULL,
  overlap_ns bigint NOT NULL,
  windows    bigint NOT NULL,
  recent_ops bigint NOT NULL,
  recent_ns  bigint NOT NULL, fabric text COLLATE "C" NOT NULL DEFAULT '',
  UNIQUE (host, id)
);

CREATE TABLE workload (
  no   bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  id   text COLLATE "C" NOT NULL,
  hint text COLLATE "C" NOT NULL,
  UNIQUE (kind, id, hint)
);

CREATE TABLE tenant (
  no bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE method (
  no        bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  name      text COLLATE "C" NOT NULL,
  version   bigint NOT NULL,
  precision text COLLATE "C" NOT NULL,
  reason    text COLLATE "C" NOT NULL,
  grade     text COLLATE "C" NOT NULL,
  UNIQUE (name, version, precision, reason, grade)
);

CREATE TABLE segment (
  id          bigint PRIMARY KEY,
  device      bigint NOT NULL REFERENCES device (no),
  state       bigint NOT NULL CHECK (state BETWEEN 1 AND 4),
  workload    bigint NOT NULL REFERENCES workload (no),
  tenant      bigint NOT NULL REFERENCES tenant (no),
  method      bigint NOT NULL REFERENCES method (no),
  start_ns    bigint NOT NULL,
  end_ns      bigint NOT NULL CHECK (end_ns >= start_ns),
  duration_ns bigint NOT NULL CHECK (duration_ns >= 0),
  ops_low     bigint NOT NULL CHECK (ops_low >= 0),
  ops_best    bigint NOT NULL CHECK (ops_best >= ops_low),
  ops_high    bigint NOT NULL CHECK (ops_high >= ops_best),
  ceiling     bigint NOT NULL,
  energy_mj   bigint NOT NULL,
  ops_float bigint NOT NULL DEFAULT 0 CHECK (ops_float >= 0),
  claim_state bigint NOT NULL DEFAULT 0 CHECK (claim_state BETWEEN 0 AND 4),
  claim bigint REFERENCES tenant (no),
  rhythm bytea NOT NULL DEFAULT '\x'::bytea
);
CREATE INDEX segment_device ON segment (device, end_ns);
CREATE INDEX segment_tenant ON segment (tenant, workload);

CREATE TABLE quarantine (
  id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  host        text COLLATE "C" NOT NULL,
  reason      text COLLATE "C" NOT NULL,
  detail      text COLLATE "C" NOT NULL,
  received_ns bigint NOT NULL,
  envelope    bytea NOT NULL
);

CREATE TABLE evidence (
  day    text COLLATE "C" PRIMARY KEY,
  bytes  bigint NOT NULL,
  frames bigint NOT NULL
);
CREATE VIEW segment_full AS
SELECT s.id, h.id AS host, h.name AS host_name, d.no AS device_no, d.id AS device, d.name AS device_name, d.sku,
       s.state, w.kind AS workload_kind, w.id AS workload, w.hint, t.id AS tenant,
       m.name AS method, m.version AS method_version, m.precision, m.reason, m.grade,
       s.start_ns, s.end_ns, s.duration_ns, s.ops_low, s.ops_best, s.ops_high, s.ceiling, s.energy_mj
FROM segment s
JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host
JOIN workload w ON w.no = s.workload JOIN tenant t ON t.no = s.tenant JOIN method m ON m.no = s.method;

CREATE TABLE customer (
  id            text COLLATE "C" PRIMARY KEY,
  name          text COLLATE "C" NOT NULL,
  country       text COLLATE "C" NOT NULL,
  status        text COLLATE "C" NOT NULL CHECK (status IN ('foreign', 'us', 'undetermined')),
  status_reason text COLLATE "C" NOT NULL,
  demonstration bigint NOT NULL
);

CREATE TABLE customer_tenant (
  tenant   text COLLATE "C" PRIMARY KEY,
  customer text COLLATE "C" NOT NULL REFERENCES customer (id)
);
CREATE INDEX customer_tenant_customer ON customer_tenant (customer);

CREATE TABLE run (
  id           text COLLATE "C" PRIMARY KEY,
  tenant       text COLLATE "C" NOT NULL,
  label        text COLLATE "C" NOT NULL,
  joined_by    text COLLATE "C" NOT NULL,
  hosts        bigint NOT NULL,
  devices      bigint NOT NULL,
  accelerators text COLLATE "C" NOT NULL,
  methods      text COLLATE "C" NOT NULL,
  start_ns     bigint NOT NULL,
  end_ns       bigint NOT NULL,
  attributed_s bigint NOT NULL, attributed_ns bigint NOT NULL, -- seconds, and the sum of what is below one
  unobserved_s bigint NOT NULL, unobserved_ns bigint NOT NULL,
  emp_low bigint NOT NULL, emp_best bigint NOT NULL, emp_high bigint NOT NULL,
  theo_low bigint NOT NULL, theo_best bigint NOT NULL, theo_high bigint NOT NULL,
  ceiling      bigint NOT NULL,
  verdict text COLLATE "C" NOT NULL DEFAULT '',
  recent text COLLATE "C" NOT NULL DEFAULT '',
  places text COLLATE "C" NOT NULL DEFAULT '',
  image text COLLATE "C" NOT NULL DEFAULT '',
  training_percent bigint NOT NULL DEFAULT -1
);
CREATE INDEX run_tenant ON run (tenant);

CREATE TABLE finding (
  no             bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id             text COLLATE "C" NOT NULL UNIQUE,
  pack           text COLLATE "C" NOT NULL,
  pack_version   bigint NOT NULL,
  pack_digest    bytea NOT NULL,
  pack_status    text COLLATE "C" NOT NULL,
  rule           text COLLATE "C" NOT NULL,
  citation       text COLLATE "C" NOT NULL,
  level          text COLLATE "C" NOT NULL,
  severity       text COLLATE "C" NOT NULL,
  subject        text COLLATE "C" NOT NULL,
  tenant         text COLLATE "C" NOT NULL,
  customer       text COLLATE "C" NOT NULL,
  customer_name  text COLLATE "C" NOT NULL,
  foreign_status text COLLATE "C" NOT NULL,
  threshold      bigint NOT NULL,
  ops_low bigint NOT NULL, ops_best bigint NOT NULL, ops_high bigint NOT NULL,
  reason         text COLLATE "C" NOT NULL,
  occurred_ns    bigint NOT NULL,
  signalled_ns   bigint NOT NULL
);
CREATE TRIGGER finding_no_update BEFORE UPDATE ON finding FOR EACH ROW EXECUTE FUNCTION refuse('findings are never changed');
CREATE TRIGGER finding_no_delete BEFORE DELETE ON finding FOR EACH ROW EXECUTE FUNCTION refuse('findings are never deleted');

CREATE TABLE event (
  id      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  host    bigint NOT NULL REFERENCES host (no),
  device  text COLLATE "C" NOT NULL, -- '' for the host
  time_ns bigint NOT NULL,
  kind    text COLLATE "C" NOT NULL,
  code    bigint NOT NULL,
  detail  text COLLATE "C" NOT NULL
);
CREATE INDEX event_host ON event (host, id); -- an index of SQLite ends with the row number
CREATE INDEX event_kind ON event (kind, id);

CREATE TABLE allocation (
  no            bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id            text COLLATE "C" NOT NULL,
  host          text COLLATE "C" NOT NULL, -- id or name, '' for every host
  device        text COLLATE "C" NOT NULL,
  workload_kind text COLLATE "C" NOT NULL,
  workload      text COLLATE "C" NOT NULL,
  tenant        text COLLATE "C" NOT NULL,
  from_ns       bigint NOT NULL CHECK (from_ns > 0),
  to_ns         bigint NOT NULL CHECK (to_ns = 0 OR to_ns >= from_ns), -- 0: no end; from_ns: withdrawn
  recorded_ns   bigint NOT NULL
);
CREATE INDEX allocation_id ON allocation (id, no);
CREATE TRIGGER allocation_no_update BEFORE UPDATE ON allocation FOR EACH ROW EXECUTE FUNCTION refuse('allocations are never changed');
CREATE TRIGGER allocation_no_delete BEFORE DELETE ON allocation FOR EACH ROW EXECUTE FUNCTION refuse('allocations are never deleted');

CREATE TABLE correction (
  id            bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  segment       bigint NOT NULL REFERENCES segment (id),
  from_ns       bigint NOT NULL,
  to_ns         bigint NOT NULL CHECK (to_ns >= from_ns),
  state_before  bigint NOT NULL CHECK (state_before BETWEEN 1 AND 4),
  tenant_before bigint NOT NULL REFERENCES tenant (no),
  state_after   bigint NOT NULL CHECK (state_after BETWEEN 1 AND 4),
  tenant_after  bigint NOT NULL REFERENCES tenant (no),
  duration_ns   bigint NOT NULL CHECK (duration_ns >= 0),
  ops_low       bigint NOT NULL CHECK (ops_low >= 0),
  ops_best      bigint NOT NULL CHECK (ops_best >= ops_low),
  ops_high      bigint NOT NULL CHECK (ops_high >= ops_best),
  ops_float     bigint NOT NULL CHECK (ops_float >= 0),
  ceiling       bigint NOT NULL,
  energy_mj     bigint NOT NULL,
  allocations   bigint NOT NULL, -- meta 'allocations' that it follows from
  recorded_ns   bigint NOT NULL
);
CREATE INDEX correction_segment ON correction (segment);
CREATE TRIGGER correction_no_update BEFORE UPDATE ON correction FOR EACH ROW EXECUTE FUNCTION refuse('corrections are never changed');
CREATE TRIGGER correction_no_delete BEFORE DELETE ON correction FOR EACH ROW EXECUTE FUNCTION refuse('corrections are never deleted');
CREATE FUNCTION segment_corrected() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM correction WHERE segment = OLD.id) THEN
    RAISE EXCEPTION '%', 'a corrected segment is never changed';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER segment_corrected BEFORE UPDATE ON segment FOR EACH ROW EXECUTE FUNCTION segment_corrected();

CREATE TABLE piece (
  segment     bigint NOT NULL REFERENCES segment (id),
  no          bigint NOT NULL,
  from_ns     bigint NOT NULL,
  to_ns       bigint NOT NULL,
  state       bigint NOT NULL,
  tenant      bigint NOT NULL,
  duration_ns bigint NOT NULL,
  ops_low     bigint NOT NULL,
  ops_best    bigint NOT NULL,
  ops_high    bigint NOT NULL,
  ops_float   bigint NOT NULL,
  ceiling     bigint NOT NULL,
  energy_mj   bigint NOT NULL,
  PRIMARY KEY (segment, no)
);
CREATE INDEX piece_tenant ON piece (tenant);
CREATE INDEX finding_subject ON finding (subject, rule);
CREATE VIEW counted AS
SELECT id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high, ops_float, ceiling, energy_mj
FROM segment WHERE id NOT IN (SELECT segment FROM piece)
UNION ALL
SELECT s.id, s.device, p.state, s.workload, p.tenant, s.method, p.from_ns, p.to_ns, p.duration_ns, p.ops_low, p.ops_best, p.ops_high, p.ops_float, p.ceiling, p.energy_mj
FROM piece p JOIN segment s ON s.id = p.segment;

CREATE TABLE audit_leaf (
  seq    bigint PRIMARY KEY,
  at_ns  bigint NOT NULL,
  actor  text COLLATE "C" NOT NULL,
  action text COLLATE "C" NOT NULL,
  kind   text COLLATE "C" NOT NULL,
  object text COLLATE "C" NOT NULL,
  leaf   bytea NOT NULL -- the entry; the columns before it only find it
);
CREATE INDEX audit_leaf_object ON audit_leaf (kind, object, seq);

CREATE TABLE audit_node (
  no   bigint PRIMARY KEY,
  hash bytea NOT NULL CHECK (length(hash) = 32)
);

CREATE TABLE audit_checkpoint (
  size  bigint PRIMARY KEY,
  at_ns bigint NOT NULL,
  note  text COLLATE "C" NOT NULL
);
CREATE TRIGGER audit_leaf_no_update BEFORE UPDATE ON audit_leaf FOR EACH ROW EXECUTE FUNCTION refuse('the audit log is never changed');
CREATE TRIGGER audit_leaf_no_delete BEFORE DELETE ON audit_leaf FOR EACH ROW EXECUTE FUNCTION refuse('the audit log is never deleted');
CREATE TRIGGER audit_node_no_update BEFORE UPDATE ON audit_node FOR EACH ROW EXECUTE FUNCTION refuse('the audit log is never changed');
CREATE TRIGGER audit_node_no_delete BEFORE DELETE ON audit_node FOR EACH ROW EXECUTE FUNCTION refuse('the audit log is never deleted');
CREATE TRIGGER audit_checkpoint_no_update BEFORE UPDATE ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION refuse('checkpoints are never changed');
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION refuse('checkpoints are never deleted');

CREATE TABLE audit_pending (
  kind   text COLLATE "C" NOT NULL,
  object text COLLATE "C" NOT NULL
);
CREATE TRIGGER audit_finding_insert AFTER INSERT ON finding FOR EACH ROW EXECUTE FUNCTION pend('finding', 'id');
CREATE TRIGGER audit_finding_update AFTER UPDATE ON finding FOR EACH ROW EXECUTE FUNCTION pend('finding', 'id');
CREATE TRIGGER audit_finding_delete AFTER DELETE ON finding FOR EACH ROW EXECUTE FUNCTION pend('finding', 'id');
CREATE TRIGGER audit_allocation_insert AFTER INSERT ON allocation FOR EACH ROW EXECUTE FUNCTION pend('allocation', 'id');
CREATE TRIGGER audit_allocation_update AFTER UPDATE ON allocation FOR EACH ROW EXECUTE FUNCTION pend('allocation', 'id');
CREATE TRIGGER audit_allocation_delete AFTER DELETE ON allocation FOR EACH ROW EXECUTE FUNCTION pend('allocation', 'id');
CREATE TRIGGER audit_customer_insert AFTER INSERT ON customer FOR EACH ROW EXECUTE FUNCTION pend('customer', 'id');
CREATE TRIGGER audit_customer_update AFTER UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION pend('customer', 'id');
CREATE TRIGGER audit_customer_delete AFTER DELETE ON customer FOR EACH ROW EXECUTE FUNCTION pend('customer', 'id');
CREATE TRIGGER audit_customer_tenant_insert AFTER INSERT ON customer_tenant FOR EACH ROW EXECUTE FUNCTION pend('customer', 'customer');
CREATE TRIGGER audit_customer_tenant_update AFTER UPDATE ON customer_tenant FOR EACH ROW EXECUTE FUNCTION pend('customer', 'customer');
CREATE TRIGGER audit_customer_tenant_delete AFTER DELETE ON customer_tenant FOR EACH ROW EXECUTE FUNCTION pend('customer', 'customer');

CREATE TABLE inventory_change (
  no     bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  host   text COLLATE "C" NOT NULL,
  at_ns  bigint NOT NULL CHECK (at_ns > 0),
  by     text COLLATE "C" NOT NULL CHECK (by <> ''),
  act    text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  says   text COLLATE "C" NOT NULL
);
CREATE INDEX inventory_change_host ON inventory_change (host);
CREATE TRIGGER inventory_change_no_update BEFORE UPDATE ON inventory_change FOR EACH ROW EXECUTE FUNCTION refuse('changes of the inventory are never changed');
CREATE TRIGGER inventory_change_no_delete BEFORE DELETE ON inventory_change FOR EACH ROW EXECUTE FUNCTION refuse('changes of the inventory are never deleted');

CREATE TABLE inventory_key (
  key  text COLLATE "C" PRIMARY KEY, -- hex of the signing key, or the public nkey
  host text COLLATE "C" NOT NULL
);
CREATE TRIGGER inventory_key_no_update BEFORE UPDATE ON inventory_key FOR EACH ROW EXECUTE FUNCTION refuse('keys of hosts are never changed');
CREATE TRIGGER inventory_key_no_delete BEFORE DELETE ON inventory_key FOR EACH ROW EXECUTE FUNCTION refuse('keys of hosts are never deleted');
CREATE TRIGGER audit_inventory_change_insert AFTER INSERT ON inventory_change FOR EACH ROW EXECUTE FUNCTION pend('inventory_change', 'host');
CREATE TRIGGER audit_inventory_change_update AFTER UPDATE ON inventory_change FOR EACH ROW EXECUTE FUNCTION pend('inventory_change', 'host');
CREATE TRIGGER audit_inventory_change_delete AFTER DELETE ON inventory_change FOR EACH ROW EXECUTE FUNCTION pend('inventory_change', 'host');
CREATE TRIGGER audit_inventory_key_insert AFTER INSERT ON inventory_key FOR EACH ROW EXECUTE FUNCTION pend('inventory_key', 'key');
CREATE TRIGGER audit_inventory_key_update AFTER UPDATE ON inventory_key FOR EACH ROW EXECUTE FUNCTION pend('inventory_key', 'key');
CREATE TRIGGER audit_inventory_key_delete AFTER DELETE ON inventory_key FOR EACH ROW EXECUTE FUNCTION pend('inventory_key', 'key');

CREATE TABLE "user" (
  id         text COLLATE "C" PRIMARY KEY,
  login      text COLLATE "C" NOT NULL UNIQUE,
  roles      text COLLATE "C" NOT NULL, -- with spaces between
  password   text COLLATE "C" NOT NULL, -- Argon2id, PHC format
  disabled   bigint NOT NULL CHECK (disabled IN (0, 1)),
  created_ns bigint NOT NULL
);
CREATE TRIGGER user_no_delete BEFORE DELETE ON "user" FOR EACH ROW EXECUTE FUNCTION refuse('users are disabled, never deleted');
CREATE TRIGGER audit_user_insert AFTER INSERT ON "user" FOR EACH ROW EXECUTE FUNCTION pend('user', 'id');
CREATE TRIGGER audit_user_update AFTER UPDATE ON "user" FOR EACH ROW EXECUTE FUNCTION pend('user', 'id');
CREATE TRIGGER audit_user_delete AFTER DELETE ON "user" FOR EACH ROW EXECUTE FUNCTION pend('user', 'id');

CREATE TABLE case_change (
  no         bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id         text COLLATE "C" NOT NULL, -- cas_…
  version    bigint NOT NULL,
  at_ns      bigint NOT NULL,
  actor      text COLLATE "C" NOT NULL,
  act        text COLLATE "C" NOT NULL,
  note       text COLLATE "C" NOT NULL,
  subject    text COLLATE "C" NOT NULL,
  obligation text COLLATE "C" NOT NULL,
  state      text COLLATE "C" NOT NULL,
  body       text COLLATE "C" NOT NULL, -- JSON of the whole case
  UNIQUE (id, version)
);
CREATE INDEX case_subject ON case_change (subject, obligation, no);

CREATE TABLE case_note (
  id      text COLLATE "C" PRIMARY KEY,
  case_id text COLLATE "C" NOT NULL,
  at_ns   bigint NOT NULL,
  actor   text COLLATE "C" NOT NULL,
  text    text COLLATE "C" NOT NULL
);
CREATE INDEX case_note_case ON case_note (case_id, at_ns);

CREATE TABLE case_file (
  id      text COLLATE "C" PRIMARY KEY,
  case_id text COLLATE "C" NOT NULL,
  at_ns   bigint NOT NULL,
  actor   text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  media   text COLLATE "C" NOT NULL,
  sha256  bytea NOT NULL CHECK (length(sha256) = 32),
  content bytea NOT NULL
);
CREATE INDEX case_file_case ON case_file (case_id, at_ns);

CREATE TABLE finding_work (
  no       bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  finding  text COLLATE "C" NOT NULL REFERENCES finding (id),
  at_ns    bigint NOT NULL,
  actor    text COLLATE "C" NOT NULL,
  state    text COLLATE "C" NOT NULL,
  case_id  text COLLATE "C" NOT NULL, -- '' unless attached
  code     text COLLATE "C" NOT NULL,
  reason   text COLLATE "C" NOT NULL,
  level    bigint NOT NULL, -- percent; of the finding when it was suppressed
  ops      bigint NOT NULL,
  until_ns bigint NOT NULL  -- of a suppression, 0 for others
);
CREATE INDEX finding_work_finding ON finding_work (finding, no);
CREATE TRIGGER case_change_no_update BEFORE UPDATE ON case_change FOR EACH ROW EXECUTE FUNCTION refuse('what was done on a case is never changed');
CREATE TRIGGER case_change_no_delete BEFORE DELETE ON case_change FOR EACH ROW EXECUTE FUNCTION refuse('what was done on a case is never deleted');
CREATE TRIGGER case_note_no_update BEFORE UPDATE ON case_note FOR EACH ROW EXECUTE FUNCTION refuse('notes are never changed');
CREATE TRIGGER case_note_no_delete BEFORE DELETE ON case_note FOR EACH ROW EXECUTE FUNCTION refuse('notes are never deleted');
CREATE TRIGGER case_file_no_update BEFORE UPDATE ON case_file FOR EACH ROW EXECUTE FUNCTION refuse('files of a case are never changed');
CREATE TRIGGER case_file_no_delete BEFORE DELETE ON case_file FOR EACH ROW EXECUTE FUNCTION refuse('files of a case are never deleted');
CREATE TRIGGER finding_work_no_update BEFORE UPDATE ON finding_work FOR EACH ROW EXECUTE FUNCTION refuse('what was done on a finding is never changed');
CREATE TRIGGER finding_work_no_delete BEFORE DELETE ON finding_work FOR EACH ROW EXECUTE FUNCTION refuse('what was done on a finding is never deleted');
CREATE TRIGGER audit_case_insert AFTER INSERT ON case_change FOR EACH ROW EXECUTE FUNCTION pend('case', 'id');
CREATE TRIGGER audit_case_update AFTER UPDATE ON case_change FOR EACH ROW EXECUTE FUNCTION pend('case', 'id');
CREATE TRIGGER audit_case_delete AFTER DELETE ON case_change FOR EACH ROW EXECUTE FUNCTION pend('case', 'id');
CREATE TRIGGER audit_case_note_insert AFTER INSERT ON case_note FOR EACH ROW EXECUTE FUNCTION pend('case_note', 'id');
CREATE TRIGGER audit_case_note_update AFTER UPDATE ON case_note FOR EACH ROW EXECUTE FUNCTION pend('case_note', 'id');
CREATE TRIGGER audit_case_note_delete AFTER DELETE ON case_note FOR EACH ROW EXECUTE FUNCTION pend('case_note', 'id');
CREATE TRIGGER audit_case_file_insert AFTER INSERT ON case_file FOR EACH ROW EXECUTE FUNCTION pend('case_file', 'id');
CREATE TRIGGER audit_case_file_update AFTER UPDATE ON case_file FOR EACH ROW EXECUTE FUNCTION pend('case_file', 'id');
CREATE TRIGGER audit_case_file_delete AFTER DELETE ON case_file FOR EACH ROW EXECUTE FUNCTION pend('case_file', 'id');
CREATE TRIGGER audit_finding_work_insert AFTER INSERT ON finding_work FOR EACH ROW EXECUTE FUNCTION pend('finding_work', 'finding');
CREATE TRIGGER audit_finding_work_update AFTER UPDATE ON finding_work FOR EACH ROW EXECUTE FUNCTION pend('finding_work', 'finding');
CREATE TRIGGER audit_finding_work_delete AFTER DELETE ON finding_work FOR EACH ROW EXECUTE FUNCTION pend('finding_work', 'finding');

CREATE TABLE run_part (
  tenant   text COLLATE "C" NOT NULL,
  part     text COLLATE "C" NOT NULL,
  run      text COLLATE "C" NOT NULL,
  start_ns bigint NOT NULL,
  PRIMARY KEY (tenant, part)
);
CREATE INDEX run_part_run ON run_part (run, start_ns, part);

CREATE TABLE run_join (
  id         text COLLATE "C" PRIMARY KEY,
  tenant     text COLLATE "C" NOT NULL,
  run        text COLLATE "C" NOT NULL,
  kind       text COLLATE "C" NOT NULL CHECK (kind IN ('space', 'time')),
  from_part  text COLLATE "C" NOT NULL,
  to_part    text COLLATE "C" NOT NULL,
  from_label text COLLATE "C" NOT NULL,
  to_label   text COLLATE "C" NOT NULL,
  at_ns      bigint NOT NULL, -- start of the later part
  gap_ns     bigint NOT NULL, -- from the end of the earlier part, in time; 0 in space
  bits       bigint NOT NULL,
  evidence   text COLLATE "C" NOT NULL,    -- JSON: name, bits, detail
  weights    text COLLATE "C" NOT NULL,    -- that weighed it, with version and digest
  confirmed  bigint NOT NULL
);
CREATE INDEX run_join_run ON run_join (run, at_ns, id);
CREATE INDEX run_join_tenant ON run_join (tenant);

CREATE TABLE join_decision (
  no         bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id         text COLLATE "C" NOT NULL, -- of the join
  tenant     text COLLATE "C" NOT NULL,
  from_part  text COLLATE "C" NOT NULL,
  to_part    text COLLATE "C" NOT NULL,
  verdict    text COLLATE "C" NOT NULL CHECK (verdict IN ('apart', 'together', 'open')),
  reason     text COLLATE "C" NOT NULL,
  by         text COLLATE "C" NOT NULL,
  decided_ns bigint NOT NULL
);
CREATE INDEX join_decision_id ON join_decision (id, no);
CREATE INDEX join_decision_tenant ON join_decision (tenant, no);
CREATE TRIGGER join_decision_no_update BEFORE UPDATE ON join_decision FOR EACH ROW EXECUTE FUNCTION refuse('decisions on joins are never changed');
CREATE TRIGGER join_decision_no_delete BEFORE DELETE ON join_decision FOR EACH ROW EXECUTE FUNCTION refuse('decisions on joins are never deleted');
CREATE TRIGGER audit_join_decision_insert AFTER INSERT ON join_decision FOR EACH ROW EXECUTE FUNCTION pend('join_decision', 'id');
CREATE TRIGGER audit_join_decision_update AFTER UPDATE ON join_decision FOR EACH ROW EXECUTE FUNCTION pend('join_decision', 'id');
CREATE TRIGGER audit_join_decision_delete AFTER DELETE ON join_decision FOR EACH ROW EXECUTE FUNCTION pend('join_decision', 'id');

CREATE TABLE run_change (
  no       bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at_ns    bigint NOT NULL,
  tenant   text COLLATE "C" NOT NULL,
  run      text COLLATE "C" NOT NULL,
  act      text COLLATE "C" NOT NULL,
  other    text COLLATE "C" NOT NULL, -- run that it came out of or went into, '' for none
  ops_low  bigint NOT NULL, -- of the run after the change; of one that is gone, what it had last
  ops_best bigint NOT NULL,
  ops_high bigint NOT NULL
);
CREATE INDEX run_change_run ON run_change (run, no);
CREATE INDEX run_change_other ON run_change (other, no);
CREATE TRIGGER run_change_no_update BEFORE UPDATE ON run_change FOR EACH ROW EXECUTE FUNCTION refuse('the history of runs is never changed');
CREATE TRIGGER run_change_no_delete BEFORE DELETE ON run_change FOR EACH ROW EXECUTE FUNCTION refuse('the history of runs is never deleted');

CREATE TABLE host_address (
  address  bytea NOT NULL, -- 4 or 16 bytes
  host     bigint NOT NULL REFERENCES host (no),
  first_ns bigint NOT NULL,
  last_ns  bigint NOT NULL, -- as told last
  PRIMARY KEY (address, host)
);

CREATE TABLE traffic (
  workload bigint NOT NULL REFERENCES workload (no),
  host     bigint NOT NULL REFERENCES host (no),
  peer     bytea NOT NULL, -- address
  first_ns bigint NOT NULL,
  last_ns  bigint NOT NULL,
  sent     bigint NOT NULL, -- bytes
  received bigint NOT NULL,
  PRIMARY KEY (workload, host, peer)
);

CREATE TABLE party_record (
  no          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  object      text COLLATE "C" NOT NULL,    -- kind/id
  kind        text COLLATE "C" NOT NULL,
  from_ns     bigint NOT NULL,
  to_ns       bigint NOT NULL, -- 0: until another record says otherwise
  recorded_ns bigint NOT NULL,
  by          text COLLATE "C" NOT NULL,
  source      text COLLATE "C" NOT NULL,
  body        text COLLATE "C" NOT NULL     -- JSON of the object
);
CREATE INDEX party_record_object ON party_record (object, no);
CREATE TRIGGER party_record_no_update BEFORE UPDATE ON party_record FOR EACH ROW EXECUTE FUNCTION refuse('records of parties are never changed');
CREATE TRIGGER party_record_no_delete BEFORE DELETE ON party_record FOR EACH ROW EXECUTE FUNCTION refuse('records of parties are never deleted');
CREATE TRIGGER audit_party_record_insert AFTER INSERT ON party_record FOR EACH ROW EXECUTE FUNCTION pend('party_record', 'object');
CREATE TRIGGER audit_party_record_update AFTER UPDATE ON party_record FOR EACH ROW EXECUTE FUNCTION pend('party_record', 'object');
CREATE TRIGGER audit_party_record_delete AFTER DELETE ON party_record FOR EACH ROW EXECUTE FUNCTION pend('party_record', 'object');

CREATE TABLE personal_access (
  id     text COLLATE "C" PRIMARY KEY,
  at_ns  bigint NOT NULL,
  actor  text COLLATE "C" NOT NULL,
  party  text COLLATE "C" NOT NULL,
  fields text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL
);
CREATE INDEX personal_access_party ON personal_access (party, at_ns);
CREATE TRIGGER personal_access_no_update BEFORE UPDATE ON personal_access FOR EACH ROW EXECUTE FUNCTION refuse('accesses are never changed');
CREATE TRIGGER personal_access_no_delete BEFORE DELETE ON personal_access FOR EACH ROW EXECUTE FUNCTION refuse('accesses are never deleted');
CREATE TRIGGER audit_personal_access_insert AFTER INSERT ON personal_access FOR EACH ROW EXECUTE FUNCTION pend('personal_access', 'id');
CREATE TRIGGER audit_personal_access_update AFTER UPDATE ON personal_access FOR EACH ROW EXECUTE FUNCTION pend('personal_access', 'id');
CREATE TRIGGER audit_personal_access_delete AFTER DELETE ON personal_access FOR EACH ROW EXECUTE FUNCTION pend('personal_access', 'id');

CREATE TABLE party_feed (
  id       text COLLATE "C" PRIMARY KEY, -- vendor/event, or access/batch
  at_ns    bigint NOT NULL,
  actor    text COLLATE "C" NOT NULL,
  entries  bigint NOT NULL,
  digest   text COLLATE "C" NOT NULL     -- SHA-256 of what came
);
CREATE TRIGGER party_feed_no_update BEFORE UPDATE ON party_feed FOR EACH ROW EXECUTE FUNCTION refuse('what came from outside is never changed');
CREATE TRIGGER party_feed_no_delete BEFORE DELETE ON party_feed FOR EACH ROW EXECUTE FUNCTION refuse('what came from outside is never deleted');
CREATE TRIGGER audit_party_feed_insert AFTER INSERT ON party_feed FOR EACH ROW EXECUTE FUNCTION pend('party_feed', 'id');
CREATE TRIGGER audit_party_feed_update AFTER UPDATE ON party_feed FOR EACH ROW EXECUTE FUNCTION pend('party_feed', 'id');
CREATE TRIGGER audit_party_feed_delete AFTER DELETE ON party_feed FOR EACH ROW EXECUTE FUNCTION pend('party_feed', 'id');

CREATE TABLE party_link (
  no          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id          text COLLATE "C" NOT NULL, -- lnk_…
  a           text COLLATE "C" NOT NULL,
  b           text COLLATE "C" NOT NULL,
  class       text COLLATE "C" NOT NULL CHECK (class IN ('identity', 'control', 'coordination')),
  directed    bigint NOT NULL, -- a controls b
  state       text COLLATE "C" NOT NULL,
  bits        double precision    NOT NULL,
  needs       text COLLATE "C" NOT NULL, -- why a person must decide
  evidence    text COLLATE "C" NOT NULL, -- JSON
  against     text COLLATE "C" NOT NULL, -- JSON: evidence that a person had seen when they said no
  by          text COLLATE "C" NOT NULL, -- '' for the rules
  reason      text COLLATE "C" NOT NULL,
  from_ns     bigint NOT NULL, -- since when it holds in the world, 0: always
  to_ns       bigint NOT NULL, -- excluded, 0: for ever
  recorded_ns bigint NOT NULL,
  weights     text COLLATE "C" NOT NULL  -- that weighed it, with version and digest
);
CREATE INDEX party_link_id ON party_link (id, no);
CREATE TRIGGER party_link_no_update BEFORE UPDATE ON party_link FOR EACH ROW EXECUTE FUNCTION refuse('links are never changed');
CREATE TRIGGER party_link_no_delete BEFORE DELETE ON party_link FOR EACH ROW EXECUTE FUNCTION refuse('links are never deleted');
CREATE TRIGGER audit_party_link_insert AFTER INSERT ON party_link FOR EACH ROW EXECUTE FUNCTION pend('party_link', 'id');
CREATE TRIGGER audit_party_link_update AFTER UPDATE ON party_link FOR EACH ROW EXECUTE FUNCTION pend('party_link', 'id');
CREATE TRIGGER audit_party_link_delete AFTER DELETE ON party_link FOR EACH ROW EXECUTE FUNCTION pend('party_link', 'id');

CREATE TABLE reservation (
  no             bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id             text COLLATE "C" NOT NULL,
  tenant         text COLLATE "C" NOT NULL,
  accelerator    text COLLATE "C" NOT NULL,
  devices        bigint NOT NULL,
  from_ns        bigint NOT NULL,
  to_ns          bigint NOT NULL,
  network_gbit_s bigint NOT NULL, -- 0 where it is not stated
  recorded_ns    bigint NOT NULL,
  declared_use text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX reservation_id ON reservation (id, no);
CREATE TRIGGER reservation_no_update BEFORE UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION refuse('reservations are never changed');
CREATE TRIGGER reservation_no_delete BEFORE DELETE ON reservation FOR EACH ROW EXECUTE FUNCTION refuse('reservations are never deleted');
CREATE TRIGGER audit_reservation_insert AFTER INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION pend('reservation', 'id');
CREATE TRIGGER audit_reservation_update AFTER UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION pend('reservation', 'id');
CREATE TRIGGER audit_reservation_delete AFTER DELETE ON reservation FOR EACH ROW EXECUTE FUNCTION pend('reservation', 'id');

CREATE TABLE report_change (
  no      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id      text COLLATE "C" NOT NULL, -- rep_…
  version bigint NOT NULL,
  at_ns   bigint NOT NULL,
  actor   text COLLATE "C" NOT NULL,
  act     text COLLATE "C" NOT NULL,
  note    text COLLATE "C" NOT NULL,
  case_id text COLLATE "C" NOT NULL, -- '' of a report about the programme
  form    text COLLATE "C" NOT NULL,
  state   text COLLATE "C" NOT NULL,
  body    text COLLATE "C" NOT NULL, -- JSON of the whole report
  UNIQUE (id, version)
);
CREATE INDEX report_case ON report_change (case_id, no);

CREATE TABLE report_file (
  id      text COLLATE "C" PRIMARY KEY,
  report  text COLLATE "C" NOT NULL,
  at_ns   bigint NOT NULL,
  actor   text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  media   text COLLATE "C" NOT NULL,
  sha256  bytea NOT NULL CHECK (length(sha256) = 32),
  content bytea NOT NULL
);
CREATE INDEX report_file_report ON report_file (report, at_ns);

CREATE TABLE filer_change (
  no    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at_ns bigint NOT NULL,
  actor text COLLATE "C" NOT NULL,
  body  text COLLATE "C" NOT NULL
);
CREATE TRIGGER report_change_no_update BEFORE UPDATE ON report_change FOR EACH ROW EXECUTE FUNCTION refuse('reports are never changed');
CREATE TRIGGER report_change_no_delete BEFORE DELETE ON report_change FOR EACH ROW EXECUTE FUNCTION refuse('reports are never deleted');
CREATE TRIGGER report_file_no_update BEFORE UPDATE ON report_file FOR EACH ROW EXECUTE FUNCTION refuse('files of a report are never changed');
CREATE TRIGGER report_file_no_delete BEFORE DELETE ON report_file FOR EACH ROW EXECUTE FUNCTION refuse('files of a report are never deleted');
CREATE TRIGGER filer_change_no_update BEFORE UPDATE ON filer_change FOR EACH ROW EXECUTE FUNCTION refuse('what the provider said is never changed');
CREATE TRIGGER filer_change_no_delete BEFORE DELETE ON filer_change FOR EACH ROW EXECUTE FUNCTION refuse('what the provider said is never deleted');
CREATE TRIGGER audit_report_insert AFTER INSERT ON report_change FOR EACH ROW EXECUTE FUNCTION pend('report', 'id');
CREATE TRIGGER audit_report_update AFTER UPDATE ON report_change FOR EACH ROW EXECUTE FUNCTION pend('report', 'id');
CREATE TRIGGER audit_report_delete AFTER DELETE ON report_change FOR EACH ROW EXECUTE FUNCTION pend('report', 'id');
CREATE TRIGGER audit_report_file_insert AFTER INSERT ON report_file FOR EACH ROW EXECUTE FUNCTION pend('report_file', 'id');
CREATE TRIGGER audit_report_file_update AFTER UPDATE ON report_file FOR EACH ROW EXECUTE FUNCTION pend('report_file', 'id');
CREATE TRIGGER audit_report_file_delete AFTER DELETE ON report_file FOR EACH ROW EXECUTE FUNCTION pend('report_file', 'id');
CREATE TRIGGER audit_filer_insert AFTER INSERT ON filer_change FOR EACH ROW EXECUTE FUNCTION pend('filer', '');
CREATE TRIGGER audit_filer_update AFTER UPDATE ON filer_change FOR EACH ROW EXECUTE FUNCTION pend('filer', '');
CREATE TRIGGER audit_filer_delete AFTER DELETE ON filer_change FOR EACH ROW EXECUTE FUNCTION pend('filer', '');

CREATE TABLE run_day (
  tenant     text COLLATE "C" NOT NULL,
  run        text COLLATE "C" NOT NULL,
  day        bigint NOT NULL, -- of UTC, since 1970-01-01
  ops_low    bigint NOT NULL,
  ops_best   bigint NOT NULL,
  ops_high   bigint NOT NULL,
  devices    bigint NOT NULL,
  observed_s bigint NOT NULL,
  elapsed_s  bigint NOT NULL,
  PRIMARY KEY (tenant, run, day)
);

CREATE TABLE policy_change (
  no      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id      text COLLATE "C" NOT NULL, -- pol_…
  version bigint NOT NULL,
  at_ns   bigint NOT NULL,
  actor   text COLLATE "C" NOT NULL,
  act     text COLLATE "C" NOT NULL,
  note    text COLLATE "C" NOT NULL,
  kind    text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  state   text COLLATE "C" NOT NULL,
  body    text COLLATE "C" NOT NULL, -- JSON of the whole policy
  UNIQUE (id, version)
);
CREATE TRIGGER policy_change_no_update BEFORE UPDATE ON policy_change FOR EACH ROW EXECUTE FUNCTION refuse('what was done on a policy is never changed');
CREATE TRIGGER policy_change_no_delete BEFORE DELETE ON policy_change FOR EACH ROW EXECUTE FUNCTION refuse('what was done on a policy is never deleted');
CREATE TRIGGER audit_policy_insert AFTER INSERT ON policy_change FOR EACH ROW EXECUTE FUNCTION pend('policy', 'id');
CREATE TRIGGER audit_policy_update AFTER UPDATE ON policy_change FOR EACH ROW EXECUTE FUNCTION pend('policy', 'id');
CREATE TRIGGER audit_policy_delete AFTER DELETE ON policy_change FOR EACH ROW EXECUTE FUNCTION pend('policy', 'id');

CREATE TABLE simulation (
  id      text COLLATE "C" PRIMARY KEY, -- sim_…
  policy  text COLLATE "C" NOT NULL,    -- pol_…
  text    text COLLATE "C" NOT NULL,    -- digest of the text that was simulated
  at_ns   bigint NOT NULL,
  actor   text COLLATE "C" NOT NULL,
  digest  text COLLATE "C" NOT NULL,    -- of the result
  body    text COLLATE "C" NOT NULL     -- JSON of the report
);
CREATE INDEX simulation_policy ON simulation (policy, at_ns);
CREATE TRIGGER simulation_no_update BEFORE UPDATE ON simulation FOR EACH ROW EXECUTE FUNCTION refuse('simulations are never changed');
CREATE TRIGGER simulation_no_delete BEFORE DELETE ON simulation FOR EACH ROW EXECUTE FUNCTION refuse('simulations are never deleted');
CREATE TRIGGER audit_simulation_insert AFTER INSERT ON simulation FOR EACH ROW EXECUTE FUNCTION pend('simulation', 'id');
CREATE TRIGGER audit_simulation_update AFTER UPDATE ON simulation FOR EACH ROW EXECUTE FUNCTION pend('simulation', 'id');
CREATE TRIGGER audit_simulation_delete AFTER DELETE ON simulation FOR EACH ROW EXECUTE FUNCTION pend('simulation', 'id');

CREATE TABLE policy_finding (
  finding  text COLLATE "C" PRIMARY KEY REFERENCES finding (id),
  policy   text COLLATE "C" NOT NULL, -- pol_…
  known_ns bigint NOT NULL  -- when the policy came into force
);
CREATE TRIGGER policy_finding_no_update BEFORE UPDATE ON policy_finding FOR EACH ROW EXECUTE FUNCTION refuse('findings are never changed');
CREATE TRIGGER policy_finding_no_delete BEFORE DELETE ON policy_finding FOR EACH ROW EXECUTE FUNCTION refuse('findings are never deleted');
CREATE TRIGGER audit_policy_finding_insert AFTER INSERT ON policy_finding FOR EACH ROW EXECUTE FUNCTION pend('policy_finding', 'finding');
CREATE TRIGGER audit_policy_finding_update AFTER UPDATE ON policy_finding FOR EACH ROW EXECUTE FUNCTION pend('policy_finding', 'finding');
CREATE TRIGGER audit_policy_finding_delete AFTER DELETE ON policy_finding FOR EACH ROW EXECUTE FUNCTION pend('policy_finding', 'finding');

CREATE TABLE policy_lookback (
  policy   text COLLATE "C" PRIMARY KEY,
  at_ns    bigint NOT NULL,
  findings bigint NOT NULL
);

CREATE TABLE revenue (
  no                    bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  customer              text COLLATE "C" NOT NULL,
  from_day              text COLLATE "C" NOT NULL, -- of billed, as 2026-01-01; '' for a price
  to_day                text COLLATE "C" NOT NULL, -- excluded
  currency              text COLLATE "C" NOT NULL,
  billed_cents          bigint NOT NULL, -- 0 for a price
  cents_per_device_hour bigint NOT NULL, -- 0 for a total
  recorded_ns           bigint NOT NULL
);
CREATE INDEX revenue_customer ON revenue (customer, no);
CREATE TRIGGER revenue_no_update BEFORE UPDATE ON revenue FOR EACH ROW EXECUTE FUNCTION refuse('imported revenue is never changed');
CREATE TRIGGER revenue_no_delete BEFORE DELETE ON revenue FOR EACH ROW EXECUTE FUNCTION refuse('imported revenue is never deleted');
CREATE TRIGGER audit_revenue_insert AFTER INSERT ON revenue FOR EACH ROW EXECUTE FUNCTION pend('revenue', 'customer');
CREATE TRIGGER audit_revenue_update AFTER UPDATE ON revenue FOR EACH ROW EXECUTE FUNCTION pend('revenue', 'customer');
CREATE TRIGGER audit_revenue_delete AFTER DELETE ON revenue FOR EACH ROW EXECUTE FUNCTION pend('revenue', 'customer');

CREATE TABLE rollout_change (
  no     bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  policy text COLLATE "C" NOT NULL, -- pol_…
  at_ns  bigint NOT NULL,
  state  text COLLATE "C" NOT NULL,
  step   bigint NOT NULL,
  reason text COLLATE "C" NOT NULL,
  body   text COLLATE "C" NOT NULL  -- JSON (package rollout)
);
CREATE INDEX rollout_change_policy ON rollout_change (policy, no);
CREATE TRIGGER rollout_change_no_update BEFORE UPDATE ON rollout_change FOR EACH ROW EXECUTE FUNCTION refuse('the history of roll-outs is never changed');
CREATE TRIGGER rollout_change_no_delete BEFORE DELETE ON rollout_change FOR EACH ROW EXECUTE FUNCTION refuse('the history of roll-outs is never deleted');
CREATE TRIGGER audit_rollout_insert AFTER INSERT ON rollout_change FOR EACH ROW EXECUTE FUNCTION pend('rollout', 'policy');
CREATE TRIGGER audit_rollout_update AFTER UPDATE ON rollout_change FOR EACH ROW EXECUTE FUNCTION pend('rollout', 'policy');
CREATE TRIGGER audit_rollout_delete AFTER DELETE ON rollout_change FOR EACH ROW EXECUTE FUNCTION pend('rollout', 'policy');

CREATE TABLE host_counter (
  host      text COLLATE "C" PRIMARY KEY,
  number    bigint NOT NULL CHECK (number >= 0), -- the newest that was given out
  word      text COLLATE "C" NOT NULL,                     -- with which the one before was shown
  recovered bigint NOT NULL CHECK (recovered >= 0) -- how often an outdated one was let through since a person decided
);

CREATE TABLE clock_change (
  id       text COLLATE "C" PRIMARY KEY, -- host/epoch/seq
  host     text COLLATE "C" NOT NULL,
  epoch    bigint NOT NULL,
  seq      bigint NOT NULL,
  boot_id  text COLLATE "C" NOT NULL,
  shift_ns bigint NOT NULL,
  step_ns  bigint NOT NULL,
  reason   text COLLATE "C" NOT NULL, -- '' for what is no finding
  at_ns    bigint NOT NULL  -- when the batch was counted
);
CREATE INDEX clock_change_host ON clock_change (host, epoch, seq);
CREATE TRIGGER audit_clock_change_insert AFTER INSERT ON clock_change FOR EACH ROW EXECUTE FUNCTION pend('clock_change', 'id');
CREATE TRIGGER audit_clock_change_update AFTER UPDATE ON clock_change FOR EACH ROW EXECUTE FUNCTION pend('clock_change', 'id');
CREATE TRIGGER audit_clock_change_delete AFTER DELETE ON clock_change FOR EACH ROW EXECUTE FUNCTION pend('clock_change', 'id');

CREATE TABLE host_energy (
  host      bigint NOT NULL REFERENCES host (no),
  slot_ns   bigint NOT NULL,
  energy_mj bigint NOT NULL,
  known_ns  bigint NOT NULL, -- device time that the energy is of
  PRIMARY KEY (host, slot_ns)
);
CREATE INDEX host_energy_slot ON host_energy (slot_ns);

CREATE TABLE power_import (
  id       text COLLATE "C" PRIMARY KEY,
  at_ns    bigint NOT NULL,
  name     text COLLATE "C" NOT NULL,
  readings bigint NOT NULL,
  digest   text COLLATE "C" NOT NULL -- SHA-256 of the readings as they are stored
);
CREATE TRIGGER audit_power_import_insert AFTER INSERT ON power_import FOR EACH ROW EXECUTE FUNCTION pend('power_import', 'id');
CREATE TRIGGER audit_power_import_update AFTER UPDATE ON power_import FOR EACH ROW EXECUTE FUNCTION pend('power_import', 'id');
CREATE TRIGGER audit_power_import_delete AFTER DELETE ON power_import FOR EACH ROW EXECUTE FUNCTION pend('power_import', 'id');

CREATE TABLE power_meter (
  id   text COLLATE "C" PRIMARY KEY,
  host text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL
);
CREATE INDEX power_meter_host ON power_meter (host, kind);

CREATE TABLE power_reading (
  meter       text COLLATE "C" NOT NULL,
  start_ns    bigint NOT NULL,
  end_ns      bigint NOT NULL,
  energy_mj   bigint NOT NULL,
  overhead_mj bigint NOT NULL,
  import      text COLLATE "C" NOT NULL,
  PRIMARY KEY (meter, start_ns)
);

CREATE TABLE power_slot (
  host        text COLLATE "C" NOT NULL,
  slot_ns     bigint NOT NULL,
  kind        text COLLATE "C" NOT NULL,
  energy_mj   bigint NOT NULL,
  overhead_mj bigint NOT NULL,
  covered_ns  bigint NOT NULL, -- of all its meters together
  answer      bigint NOT NULL DEFAULT 0, -- 0 open, 1 agrees, 2 more drawn, 3 less drawn, 4 cannot tell
  reported_mj bigint NOT NULL DEFAULT 0,
  reason      text COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (host, slot_ns, kind)
);
CREATE INDEX power_slot_open ON power_slot (slot_ns) WHERE answer = 0;

CREATE TABLE power_span (
  host    text COLLATE "C" NOT NULL,
  from_ns bigint NOT NULL,
  to_ns   bigint NOT NULL,
  agrees  bigint NOT NULL CHECK (agrees IN (0, 1)), -- 0: contradicted
  PRIMARY KEY (host, from_ns)
);
CREATE VIEW host_admin AS
  SELECT i.host, coalesce((SELECT json_extract(j.says, '$.administered') FROM inventory_change j
    WHERE j.host = i.host AND json_extract(j.says, '$.administered') IS NOT NULL ORDER BY j.no DESC LIMIT 1), 'provider') AS administered
  FROM inventory_change i WHERE i.act = 'enroll' GROUP BY i.host;

CREATE TABLE notification (
  no     bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  at_ns  bigint NOT NULL,
  kind   text COLLATE "C" NOT NULL,
  object text COLLATE "C" NOT NULL, -- id of a case, finding or report
  about  text COLLATE "C" NOT NULL  -- JSON of more ids and dates, '' for nothing more
);

CREATE TABLE notification_channel (
  name     text COLLATE "C" PRIMARY KEY,
  told     bigint NOT NULL, -- number of the last notification that it took
  attempts bigint NOT NULL, -- that failed since
  next_ns  bigint NOT NULL, -- not before
  took_ns  bigint NOT NULL, -- when it last took something, 0 for never
  problem  text COLLATE "C" NOT NULL  -- of the last attempt, '' if it went well
);

CREATE TABLE escalation (
  case_id   text COLLATE "C" NOT NULL,
  clock     text COLLATE "C" NOT NULL,
  due       text COLLATE "C" NOT NULL, -- YYYY-MM-DD; another deadline is told anew
  days_left bigint NOT NULL, -- 10, 5, 2, 0, and -1 when it is over
  at_ns     bigint NOT NULL,
  PRIMARY KEY (case_id, clock, due, days_left)
);

CREATE TABLE calendar_link (
  "user"    text COLLATE "C" PRIMARY KEY REFERENCES "user" (id),
  hash    bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
  made_ns bigint NOT NULL
);
CREATE TRIGGER notification_no_update BEFORE UPDATE ON notification FOR EACH ROW EXECUTE FUNCTION refuse('notifications are never changed');
CREATE TRIGGER notification_no_delete BEFORE DELETE ON notification FOR EACH ROW EXECUTE FUNCTION refuse('notifications are never deleted');
CREATE TRIGGER escalation_no_update BEFORE UPDATE ON escalation FOR EACH ROW EXECUTE FUNCTION refuse('escalations are never changed');
CREATE TRIGGER escalation_no_delete BEFORE DELETE ON escalation FOR EACH ROW EXECUTE FUNCTION refuse('escalations are never deleted');
CREATE FUNCTION notify_finding() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.severity = 'critical' THEN
    INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.signalled_ns, 'finding.critical', NEW.id, '');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_finding AFTER INSERT ON finding FOR EACH ROW EXECUTE FUNCTION notify_finding();
CREATE FUNCTION notify_case() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM case_change WHERE id = NEW.id AND no <> NEW.no) THEN
    INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, 'case.opened', NEW.id, '');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_case AFTER INSERT ON case_change FOR EACH ROW EXECUTE FUNCTION notify_case();
CREATE FUNCTION notify_decision() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.act = 'propose decision' THEN
    INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, 'decision.waits', NEW.id, '');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_decision AFTER INSERT ON case_change FOR EACH ROW EXECUTE FUNCTION notify_decision();
CREATE FUNCTION notify_knowledge() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.act = 'know' AND coalesce(json_extract(NEW.body, '$.move.clock'), '') <> '' THEN
    INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, 'knowledge.waits', NEW.id, '');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_knowledge AFTER INSERT ON case_change FOR EACH ROW EXECUTE FUNCTION notify_knowledge();
CREATE FUNCTION notify_report() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.act IN ('propose', 'approve', 'file') THEN
    INSERT INTO notification (at_ns, kind, object, about) VALUES (NEW.at_ns, CASE NEW.act WHEN 'propose' THEN 'report.waits' WHEN 'approve' THEN 'report.approved' ELSE 'report.filed' END, NEW.id, '');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_report AFTER INSERT ON report_change FOR EACH ROW EXECUTE FUNCTION notify_report();
CREATE TRIGGER audit_calendar_link_insert AFTER INSERT ON calendar_link FOR EACH ROW EXECUTE FUNCTION pend('calendar_link', 'user');
CREATE TRIGGER audit_calendar_link_update AFTER UPDATE ON calendar_link FOR EACH ROW EXECUTE FUNCTION pend('calendar_link', 'user');
CREATE TRIGGER audit_calendar_link_delete AFTER DELETE ON calendar_link FOR EACH ROW EXECUTE FUNCTION pend('calendar_link', 'user');

CREATE TABLE sign (
  workload_kind text COLLATE "C" NOT NULL,
  workload_id   text COLLATE "C" NOT NULL,
  host          bigint NOT NULL REFERENCES host (no),
  kind          text COLLATE "C" NOT NULL, -- of the event that told it
  word          text COLLATE "C" NOT NULL,
  first_ns      bigint NOT NULL,
  last_ns       bigint NOT NULL,
  ranks         bigint NOT NULL, -- of a communicator, how many take part; else 0
  PRIMARY KEY (workload_kind, workload_id, host, kind, word)
);
CREATE INDEX run_operations ON run ((emp_best + theo_best) DESC, id);
CREATE INDEX run_tenant_operations ON run (tenant, emp_best, theo_best);
CREATE INDEX finding_customer ON finding (customer);

CREATE TABLE finding_standing (
  no    bigint PRIMARY KEY REFERENCES finding (no),
  state text COLLATE "C" NOT NULL
);
CREATE INDEX finding_standing_state ON finding_standing (state, no);
CREATE FUNCTION finding_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO finding_standing (no, state) VALUES (NEW.no, 'open');
  RETURN NULL;
END $$;
CREATE TRIGGER finding_stands AFTER INSERT ON finding FOR EACH ROW EXECUTE FUNCTION finding_stands();
CREATE FUNCTION finding_work_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  UPDATE finding_standing SET state = NEW.state WHERE no = (SELECT no FROM finding WHERE id = NEW.finding);
  RETURN NULL;
END $$;
CREATE TRIGGER finding_work_stands AFTER INSERT ON finding_work FOR EACH ROW EXECUTE FUNCTION finding_work_stands();

CREATE TRIGGER finding_in_order BEFORE INSERT ON finding FOR EACH STATEMENT EXECUTE FUNCTION in_order();
CREATE TRIGGER notification_in_order BEFORE INSERT ON notification FOR EACH STATEMENT EXECUTE FUNCTION in_order();

-- What is only ever added to is not emptied either.
DO $$
DECLARE
  guard record;
BEGIN
  FOR guard IN SELECT DISTINCT tgrelid::regclass AS tab, pg_get_triggerdef(oid) AS def FROM pg_trigger
    WHERE tgfoid = 'refuse'::regproc AND tgname LIKE '%_no_delete' LOOP
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s', guard.tab, substring(guard.def FROM 'EXECUTE FUNCTION (.*)$'));
  END LOOP;
END $$;
