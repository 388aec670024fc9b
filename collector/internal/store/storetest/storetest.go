// Package storetest fills databases for tests and benchmarks of what reads them.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the driver
)

// FillDesk writes into the database at path, which a store has made, what the desk
// reads, without a ledger below it: customers of one tenant each, their runs, and
// findings about both. Each 20th finding is triaged, dismissed or suppressed, and
// half of the suppressions have ended. The audit log takes in none of it.
func FillDesk(t testing.TB, path string, customers, runs, findings int) {
	t.Helper()
	db, err := Raw(t, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(t.Context(), db, customers, runs, findings); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// hosts of one run have 8 devices each, and each device four stretches.
const hosts = 256

// one is the run that has hosts: the 777th, or the last of fewer.
func one(runs int) string { return fmt.Sprintf("run_%07d", min(777, runs-1)) }

const counted = "WITH RECURSIVE k(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?1) "

func fill(ctx context.Context, db *sql.DB, customers, runs, findings int) error {
	steps := []struct {
		text string
		args []any
	}{
		{counted + `INSERT INTO customer (id, name, country, status, status_reason, demonstration)
			SELECT 'cus_' || «6:i», 'Customer ' || (i) || ' Incorporated', 'CN', CASE i % 3 WHEN 0 THEN 'foreign' WHEN 1 THEN 'us' ELSE 'undetermined' END, 'stated', 0 FROM k`, []any{customers}},
		{counted + "INSERT INTO customer_tenant (tenant, customer) SELECT 'ten_' || «6:i», 'cus_' || «6:i» FROM k", []any{customers}},
		{counted + "INSERT INTO tenant (id) SELECT 'ten_' || «6:i» FROM k", []any{customers}},
		{counted + `INSERT INTO run (id, tenant, label, joined_by, hosts, devices, accelerators, methods, start_ns, end_ns, attributed_s, attributed_ns, unobserved_s, unobserved_ns,
			emp_low, emp_best, emp_high, theo_low, theo_best, theo_high, ceiling)
			SELECT 'run_' || «7:i», 'ten_' || «6:i % ?2», 'job', 'job', 4, 32, 'H100', 'cycles', i * 1000000000, (i + 3600) * 1000000000, 3600, 0, 0, 0,
			1000 * (i % 977), 1100 * (i % 977), 1200 * (i % 977), 0, 0, 0, 2000 * (i % 977) FROM k`, []any{runs, customers}},
		{counted + `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject, tenant, customer, customer_name, foreign_status,
			threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			SELECT 'fnd_' || «8:i», 'us-bis-2024', 1, x'00', 'proposed', 'run', '15 CFR 7', '80', 'warning', CASE i % 2 WHEN 0 THEN 'run_' || «7:i % ?2» ELSE 'cus_' || «6:i % ?3» END,
			'ten_' || «6:i % ?3», 'cus_' || «6:i % ?3», 'Customer ' || (i % ?3) || ' Incorporated', 'foreign', 100000 + i, 1, 2, 3, 'because', i, i FROM k`, []any{findings, runs, customers}},
		{`INSERT INTO finding_work (finding, at_ns, actor, state, case_id, code, reason, level, ops, until_ns)
			SELECT id, 1, 'usr_a', CASE no % 60 WHEN 0 THEN 'triaged' WHEN 20 THEN 'dismissed' ELSE 'suppressed' END, '', '', 'seen', 80, 1000000000000, CASE no % 120 WHEN 40 THEN 1 ELSE 4000000000000000000 END
			FROM finding WHERE no % 20 = 0`, nil},
		// What each run did on a day, and the hosts of one run with their stretches.
		{counted + `INSERT INTO run_day (tenant, run, day, ops_low, ops_best, ops_high, devices, observed_s, elapsed_s)
			SELECT 'ten_' || «6:i % ?2», 'run_' || «7:i», 20000 + i % 365, 1000, 1100, 1200, 32, 3600, 3600 FROM k`, []any{runs, customers}},
		{counted + `INSERT INTO host (no, id, public_key, name, os, kernel, agent_version, boot_id, epoch, seq, hash, first_ns, last_ns, batches)
			SELECT 1000001 + i, 'host' || «6:i», x'', 'gpu-' || «4:i», '', '', 'v1', '', 1, 1, x'', 0, 1, 1 FROM k`, []any{hosts}},
		{counted + `INSERT INTO device (no, host, id, name, pci_id, cc, sm_count, max_sm_mhz, memory_mib, parent, sku, grade, peak, ceiling, first_ns, last_ns, overlap_ns, windows, recent_ops, recent_ns)
			SELECT 1000001 + i, 1000001 + i / 8, 'GPU-' || «6:i», 'H100', '', '', 132, 1980, 81559, '', 'H100', '', 1000, 2000, 0, 1, 0, 1, 0, 0 FROM k`, []any{8 * hosts}},
		{"INSERT INTO workload (no, kind, id, hint) VALUES (1000001, 'slurm_job', '777', '')", nil},
		{"INSERT INTO method (no, name, version, precision, reason, grade) VALUES (1000001, 'gpm', 1, '', '', 'E1')", nil},
		{"INSERT INTO run_part (tenant, part, run, start_ns) SELECT tenant, 'slurm_job 777', id, start_ns FROM run WHERE id = ?1", []any{one(runs)}},
		{counted + `INSERT INTO segment (id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high, ceiling, energy_mj)
			SELECT (SELECT coalesce(max(id), 0) FROM segment) + 1 + i, 1000001 + i / 4, CASE i % 97 WHEN 0 THEN 4 ELSE 1 END, 1000001, t.no, 1000001, r.start_ns + i % 4 * 900000000000, r.start_ns + (i % 4 + 1) * 900000000000, 900000000000, 900, 1000, 1100, 2000, -1
			FROM k, run r JOIN tenant t ON t.id = r.tenant WHERE r.id = ?2`, []any{4 * 8 * hosts, one(runs)}},
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := dropAudit(ctx, tx); err != nil {
		return err
	}
	for _, step := range steps {
		if _, err := tx.ExecContext(ctx, padded(step.text), step.args...); err != nil {
			return fmt.Errorf("%s: %w", step.text, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if _, err := db.ExecContext(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	return nil
}

var paddingRE = regexp.MustCompile(`«(\d):([^»]*)»`)

// padded writes «6:i» as the engine says that i has six digits.
func padded(text string) string {
	if Postgres() {
		return paddingRE.ReplaceAllString(text, "lpad(($2)::text, $1, '0')")
	}
	return paddingRE.ReplaceAllString(text, "printf('%0${1}d', $2)")
}

// dropAudit takes away what tells the audit log of each row.
func dropAudit(ctx context.Context, tx *sql.Tx) error {
	var text string
	query := "SELECT coalesce(group_concat('DROP TRIGGER ' || name, '; '), '') FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_%'"
	if Postgres() {
		query = "SELECT coalesce(string_agg('DROP TRIGGER ' || tgname || ' ON ' || tgrelid::regclass, '; '), '') FROM pg_trigger WHERE tgname LIKE 'audit_%' AND tgfoid = 'pend'::regproc"
	}
	err := tx.QueryRowContext(ctx, query).Scan(&text)
	if err == nil {
		_, err = tx.ExecContext(ctx, text)
	}
	if err != nil {
		return fmt.Errorf("drop the triggers of the audit log: %w", err)
	}
	return nil
}
