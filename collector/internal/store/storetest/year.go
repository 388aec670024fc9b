package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// Year says how much FillYear makes: hosts of eight devices, each with so many
// segments on each of so many days.
type Year struct{ Hosts, Days, PerDay int }

// Segments returns how many segments that comes to.
func (y Year) Segments() int { return y.Hosts * 8 * y.Days * y.PerDay }

const day0 = 1_735_689_600 * 1_000_000_000 // 2025-01-01

// FillYear writes into the SQLite database at path, which a store has made and
// closed, a ledger that balances with all that lies around it: hosts, devices,
// segments, events, energy, runs and their days, customers, findings and work on
// them, allocations, traffic, quarantine with every byte, and evidence lengths.
func FillYear(t testing.TB, path string, y Year) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=60000&_txlock=immediate&_foreign_keys=on")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fillYear(t.Context(), db, y), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func fillYear(ctx context.Context, db *sql.DB, y Year) error {
	const counted = "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?1) "
	devices, step := y.Hosts*8, int64(86_400_000_000_000/int64(y.PerDay))
	end := int64(day0) + int64(y.Days*y.PerDay)*step
	steady, beating := (&rhythm.Rhythm{Windows: 9, Level: 0.5}).Append(nil), (&rhythm.Rhythm{Windows: 90, Dips: 7, Intervals: 6, Sum: 300, Squares: 15_000, Level: 0.25, Previous: 1, Since: 4}).Append(nil)
	steps := []struct {
		text string
		args []any
	}{
		{counted + `INSERT INTO host (no, id, public_key, name, os, kernel, agent_version, boot_id, epoch, seq, hash, first_ns, last_ns, batches)
			SELECT i + 1, printf('host%06d', i), randomblob(32), printf('Hôst "%d" \ ''x''', i), 'linux', '6.18', '1.0', 'b', 1, i, randomblob(32), ?2, ?3, 1000 FROM k`, []any{y.Hosts, int64(day0), end}},
		{counted + `INSERT INTO device (no, host, id, name, pci_id, cc, sm_count, max_sm_mhz, memory_mib, parent, sku, grade, peak, ceiling, first_ns, last_ns, overlap_ns, windows, recent_ops, recent_ns)
			SELECT i + 1, i / 8 + 1, printf('GPU-%06d', i), 'H100', '', '9.0', 132, 1980, 81920, '', 'h100-sxm', 'E2', 989000000, 989000000, ?2, ?3, 0, 1000, 0, 0 FROM k`, []any{devices, int64(day0), end}},
		{counted + "INSERT INTO tenant (id) SELECT printf('ten_%05d', i) FROM k", []any{100}},
		{"INSERT INTO tenant (id) VALUES ('')", nil},
		{counted + "INSERT INTO workload (kind, id, hint) SELECT 'slurm_job', printf('%d', i), 'train ü \u2028 ' || i FROM k", []any{500}},
		{"INSERT INTO method (name, version, precision, reason, grade) VALUES ('cycles', 1, 'bf16', '', 'E2'), ('none', 1, '', 'no reading', 'E0')", nil},
		{counted + `INSERT INTO segment (id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high, ceiling, energy_mj, ops_float, rhythm)
			SELECT i + 1, i / ?2 + 1, CASE WHEN i % 50 = 0 THEN 4 ELSE 1 END, (i / ?2 / 8 + i % ?2 / 24) % 500 + 1, (i / ?2 / 8) % 100 + 1, CASE WHEN i % 50 = 0 THEN 2 ELSE 1 END,
			?3 + (i % ?2) * ?4, ?3 + (i % ?2 + 1) * ?4, ?4, 900 * (i % 977), 1000 * (i % 977), 1100 * (i % 977) + 5, 2000000, i % 1000, i % 7, CASE i % 3 WHEN 0 THEN x'' WHEN 1 THEN ?5 ELSE ?6 END FROM k`,
			[]any{devices * y.Days * y.PerDay, y.Days * y.PerDay, int64(day0), step, steady, beating}},
		{counted + "INSERT INTO event (host, device, time_ns, kind, code, detail) SELECT i % ?2 + 1, '', ?3 + i * 1000, 'xid', i, 'x' FROM k", []any{y.Days * 20, y.Hosts, int64(day0)}},
		{counted + "INSERT INTO host_energy (host, slot_ns, energy_mj, known_ns) SELECT i % ?2 + 1, ?3 + i / ?2 * 900000000000, i, 900000000000 FROM k", []any{y.Hosts * y.Days * 4, y.Hosts, int64(day0)}},
		{counted + "INSERT INTO customer (id, name, country, status, status_reason, demonstration) SELECT printf('cus_%05d', i), 'Ĉustomer ' || i, 'CN', 'foreign', 'stated', 0 FROM k", []any{100}},
		{counted + "INSERT INTO customer_tenant (tenant, customer) SELECT printf('ten_%05d', i), printf('cus_%05d', i) FROM k", []any{100}},
		{counted + `INSERT INTO run (id, tenant, label, joined_by, hosts, devices, accelerators, methods, start_ns, end_ns, attributed_s, attributed_ns, unobserved_s, unobserved_ns, emp_low, emp_best, emp_high, theo_low, theo_best, theo_high, ceiling)
			SELECT printf('run_%07d', i), printf('ten_%05d', i % 100), 'job', 'job', 4, 32, 'H100', 'cycles', i, i + 9, 3600, 0, 0, 0, 1, 2, 3, 0, 0, 0, 4 FROM k`, []any{500}},
		{counted + "INSERT INTO run_day (tenant, run, day, ops_low, ops_best, ops_high, devices, observed_s, elapsed_s) SELECT printf('ten_%05d', i % 500 % 100), printf('run_%07d', i % 500), 20089 + i / 500, i, i + 1, i + 2, 32, 86400, 86400 FROM k", []any{500 * y.Days}},
		{counted + `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject, tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			SELECT printf('fnd_%08d', i), 'us-bis-2024', 1, randomblob(32), 'proposed', 'run', '15 CFR 7', '80', CASE i % 10 WHEN 0 THEN 'critical' ELSE 'warning' END, printf('run_%07d', i % 500), printf('ten_%05d', i % 100), printf('cus_%05d', i % 100), 'C', 'foreign', 100000 + i, 1, 2, 3, 'because', i, i FROM k`, []any{y.Days}},
		{"INSERT INTO finding_work (finding, at_ns, actor, state, case_id, code, reason, level, ops, until_ns) SELECT id, 1, 'usr_a', 'triaged', '', '', 'seen', 80, 1, 0 FROM finding WHERE no % 3 = 0", nil},
		{counted + "INSERT INTO allocation (id, host, device, workload_kind, workload, tenant, from_ns, to_ns, recorded_ns) SELECT printf('all_%05d', i), '', '', '', '', printf('ten_%05d', i % 100), i + 1, 0, 1 FROM k", []any{y.Days}},
		{counted + "INSERT INTO traffic (workload, host, peer, first_ns, last_ns, sent, received) SELECT i % 500 + 1, i % ?2 + 1, randomblob(4), 1, 2, 9223372036854775807, i FROM k", []any{1000, y.Hosts}},
		{counted + "INSERT INTO quarantine (host, reason, detail, received_ns, envelope) SELECT 'h', 'signature', char(i + 1), i, randomblob(300) FROM k", []any{256}},
		{counted + "INSERT INTO evidence (day, bytes, frames) SELECT date('2025-01-01', '+' || i || ' days'), 0, 0 FROM k", []any{y.Days}},
		{"INSERT INTO party_link (id, a, b, class, directed, state, bits, needs, evidence, against, by, reason, from_ns, to_ns, recorded_ns, weights) VALUES ('lnk_1', 'a', 'b', 'control', 1, 'open', 0.1, '', '[]', '[]', '', '', 0, 0, 1, 'w'), ('lnk_2', 'a', 'c', 'control', 1, 'open', -1e300, '', '[]', '[]', '', '', 0, 0, 1, 'w')", nil},
		{"UPDATE meta SET value = 12345 WHERE key = 'revision'", nil},
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, s := range steps {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s.text, err), tx.Rollback())
		}
	}
	if err := beginLogAnew(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// beginLogAnew empties the audit log, so that the next start takes in what is there.
func beginLogAnew(ctx context.Context, tx *sql.Tx) error {
	guards := map[string]string{}
	for _, name := range []string{"audit_leaf_no_delete", "audit_node_no_delete"} {
		var text string
		if err := tx.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE name = ?", name).Scan(&text); err != nil {
			return fmt.Errorf("read trigger %s: %w", name, err)
		}
		guards[name] = text
		if _, err := tx.ExecContext(ctx, "DROP TRIGGER "+name); err != nil {
			return fmt.Errorf("drop trigger %s: %w", name, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM audit_leaf; DELETE FROM audit_node; DELETE FROM audit_pending"); err != nil {
		return fmt.Errorf("empty the audit log: %w", err)
	}
	for name, text := range guards {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("put trigger %s back: %w", name, err)
		}
	}
	return nil
}
