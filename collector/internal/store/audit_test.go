package store

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

var (
	auditKey    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	auditOrigin = audit.Origin("test")
)

func checkAudit(t testing.TB, s *Store) desk.AuditCheck {
	t.Helper()
	c, err := NewReader(s, "", false).VerifyAudit(auditOrigin, auditKey.Public().(ed25519.PublicKey)).CheckAudit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sign(t testing.TB, s *Store) audit.Checkpoint {
	t.Helper()
	c, err := s.SignAudit(t.Context(), auditOrigin, auditKey, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// logged is a store with objects of every kind in the log.
func logged(t testing.TB, path string) *Store {
	t.Helper()
	s, err := openOn(t, path, Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	alice := audit.With(t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "usr_alice"}, Reason: "yearly review", Request: "req_1"})
	var all []party.Customer
	for i := range 10 {
		all = append(all, party.Customer{ID: fmt.Sprint("cus_", i), Name: fmt.Sprint("Customer ", i), Country: "US", Status: party.US,
			Tenants: []measure.TenantID{measure.TenantID(fmt.Sprint("t", i)), measure.TenantID(fmt.Sprint("u", i))}})
	}
	if _, err := s.PutCustomers(alice, all, false); err != nil {
		t.Fatal(err)
	}
	var allocations []allocation.Allocation
	for i := range 10 {
		allocations = append(allocations, allocation.Allocation{ID: fmt.Sprint("all_", i), Host: fmt.Sprint("h", i), Tenant: "t1", FromNS: 1, ToNS: 100})
	}
	if _, err := s.PutAllocations(t.Context(), allocations, noon, false); err != nil {
		t.Fatal(err)
	}
	allocations[3].ToNS = 50
	if _, err := s.PutAllocations(t.Context(), allocations, noon, false); err != nil {
		t.Fatal(err)
	}
	sign(t, s)
	err = s.update(t.Context(), func(tx *sql.Tx) error {
		for i := range 10 {
			_, err := tx.Exec(`INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject, tenant, customer,
				customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
				VALUES (?, 'p', 1, x'01', 'proposed', 'r', 'c', 'crossing', 'high', 'run_1', 't1', 'cus_1', 'C', 'foreign', 10, 1, 2, 3, 'x', 5, 6)`, fmt.Sprint("fnd_", i))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sign(t, s)
	return s
}

// Every change has an entry that says who made it, and only a change has one.
func TestChangesAreLogged(t *testing.T) {
	s := logged(t, filepath.Join(t.TempDir(), "flopwatch.db"))
	defer func() { _ = s.Close() }()
	if c := checkAudit(t, s); !c.Intact || c.Entries != 1+10+10+2*10+1+10 || c.Objects != 50 || c.Checkpoints != 2 || c.Signed != c.Entries {
		t.Fatalf("check = %+v", c)
	}
	tell := func(where string) (out []string) {
		err := each(t.Context(), s.read, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			e, err := audit.ParseLeaf(leaf)
			out = append(out, fmt.Sprintf("%s %s %s %s %q", e.Actor.ID, e.Action, e.Object.ID, e.Request, e.Reason))
			return err
		}, "SELECT leaf FROM audit_leaf WHERE "+where+" ORDER BY seq")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for where, want := range map[string][]string{
		"object = 'cus_4'": {`usr_alice customer.add cus_4 req_1 "yearly review"`},
		"object = 'all_3'": {`collector allocation.add all_3  ""`, `collector allocation.change all_3  ""`},
		"kind = 'schema'":  {`collector schema.migrate main  ""`},
	} {
		if got := tell(where); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", where, got, want)
		}
	}
	// The same once more changes nothing.
	before := checkAudit(t, s).Entries
	if _, err := s.PutCustomers(t.Context(), []party.Customer{{ID: "cus_1", Name: "Customer 1", Country: "US", Status: party.US, Tenants: []measure.TenantID{"t1", "u1"}}}, false); err != nil {
		t.Fatal(err)
	}
	if after := checkAudit(t, s).Entries; after != before {
		t.Errorf("%d entries for nothing", after-before)
	}
	// A change that fails leaves none.
	err := s.update(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("UPDATE customer SET name = 'x' WHERE id = 'cus_1'"); err != nil {
			return err
		}
		return context.Canceled
	})
	if c := checkAudit(t, s); err == nil || !c.Intact || c.Entries != before {
		t.Errorf("after a failure: %v, %+v", err, c)
	}
}

// A database of an older version enters the log as it is.
func TestOldRowsAreAdopted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	s := logged(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, dropGuards+`DELETE FROM audit_leaf; DELETE FROM audit_node; DELETE FROM audit_checkpoint`)
	s = open(t, filepath.Dir(path))
	if c := checkAudit(t, s); !c.Intact || c.Objects != 50 || c.Entries != 51 {
		t.Errorf("check = %+v", c)
	}
}

// dropGuards removes what keeps an honest program from changing the log.
const dropGuards = `DROP TRIGGER audit_leaf_no_delete; DROP TRIGGER audit_leaf_no_update; DROP TRIGGER audit_node_no_delete; DROP TRIGGER audit_node_no_update;
	DROP TRIGGER audit_checkpoint_no_delete; DROP TRIGGER audit_checkpoint_no_update; DROP TRIGGER finding_no_update; DROP TRIGGER finding_no_delete;
	DROP TRIGGER allocation_no_update; DROP TRIGGER allocation_no_delete; `

// edit changes a database as somebody with its file would.
func edit(t testing.TB, path, statements string) {
	t.Helper()
	db, err := storetest.Raw(t, path)
	if err != nil {
		t.Fatal(err)
	}
	if storetest.Postgres() {
		statements = regexp.MustCompile(`DROP TRIGGER (\w+)`).ReplaceAllStringFunc(statements, func(s string) string { return s + " ON " + tableOf(s[len("DROP TRIGGER "):]) })
	}
	if _, err := db.Exec(statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// quiet puts the triggers back as they were, so that only the edit shows.
func quiet(t testing.TB, path, statements string) {
	t.Helper()
	db := sql.OpenDB(newConnector(path, time.Second, false))
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	triggers := map[string]string{}
	err := each(t.Context(), db, func(rows *sql.Rows) error {
		var name, text string
		err := rows.Scan(&name, &text)
		triggers[name] = text
		return err
	}, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	for name := range triggers {
		if _, err := db.Exec("DROP TRIGGER " + name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("PRAGMA foreign_keys = off; " + statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	for name, text := range triggers {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// edits are what an insider with the file might do; %d is a number from 0 to 9.
var edits = []struct{ statement, named string }{
	{"UPDATE finding SET ops_best = ops_best + 1 WHERE id = 'fnd_%d'", "finding fnd_%d is not as"},
	{"UPDATE finding SET threshold = threshold * 10 WHERE id = 'fnd_%d'", "finding fnd_%d is not as"},
	{"UPDATE finding SET signalled_ns = signalled_ns + 86400000000000 WHERE id = 'fnd_%d'", "finding fnd_%d is not as"},
	{"UPDATE finding SET occurred_ns = occurred_ns - 1, reason = 'y' WHERE id = 'fnd_%d'", "finding fnd_%d is not as"},
	{"DELETE FROM finding WHERE id = 'fnd_%d'", "finding fnd_%d is gone"},
	{"UPDATE finding SET id = 'fnd_x' WHERE id = 'fnd_%d'", "finding fnd_%d is gone"},
	{"INSERT INTO customer VALUES ('cus_new%d', 'n', 'US', 'us', '', 0)", "customer cus_new%d is not in the audit log"},
	{"UPDATE customer SET status = 'undetermined' WHERE id = 'cus_%d'", "customer cus_%d is not as"},
	{"UPDATE customer_tenant SET customer = 'cus_0' WHERE tenant = 't%d' AND customer <> 'cus_0' OR tenant = 't1' AND %[1]d = 0", "customer cus_"},
	{"DELETE FROM customer WHERE id = 'cus_%d'", "customer cus_%d is gone"},
	{"UPDATE allocation SET tenant = 't2' WHERE id = 'all_%d'", "allocation all_%d is not as"},
	{"UPDATE allocation SET to_ns = to_ns - 1 WHERE no = 1 + %d", "allocation all_%d is not as"},
	{"DELETE FROM allocation WHERE id = 'all_%d'", "allocation all_%d is gone"},
	{"DELETE FROM audit_leaf WHERE seq = 5 + %d", "is missing before it"},
	{"UPDATE audit_leaf SET leaf = cast(replace(cast(leaf AS TEXT), 'collector', 'collectos') AS BLOB), actor = 'collectos' WHERE seq = 41 + %d", "is not its hash"},
	{"UPDATE audit_leaf SET leaf = cast(replace(cast(leaf AS TEXT), '2026', '2025') AS BLOB) WHERE seq = %d", "audit entry %d:"},
	{"UPDATE audit_leaf SET actor = 'usr_mallory' WHERE seq = %d", "audit entry %d: what finds it"},
	{"UPDATE audit_node SET hash = zeroblob(32) WHERE no = %d", "node %d of the tree"},
	{"DELETE FROM audit_node WHERE no = 3 + %d", "is missing"},
	{"DELETE FROM audit_leaf WHERE seq > 25 - %d", "entries are missing at the end"},
	{"UPDATE audit_checkpoint SET note = replace(note, 'e', 'f') WHERE %d >= 0", "checkpoint at"},
	{"INSERT INTO audit_pending VALUES ('finding', 'fnd_%d')", "finding fnd_%d was changed by another program"},
	{"DROP INDEX finding_subject; SELECT %d", "the schema is not as"},
}

// Whatever somebody changes in the file is named.
func TestInsiderEditsAreNamed(t *testing.T) {
	if storetest.Postgres() {
		insiderEditsInPostgres(t)
		return
	}
	from := filepath.Join(t.TempDir(), "flopwatch.db")
	if err := logged(t, from).Close(); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	rounds := 100
	if testing.Short() {
		rounds = len(edits)
	}
	if os.Getenv("FLOPWATCH_LONG") != "" {
		rounds = 1000
	}
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	for i := range rounds {
		e, n := edits[i%len(edits)], random.IntN(10)
		path := filepath.Join(dir, "flopwatch.db")
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + end); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		statement := fmt.Sprintf(e.statement, n)
		quiet(t, path, statement)
		s := &Store{opts: Options{Readers: 1}}
		s.read = sql.OpenDB(newConnector(path, time.Second, true))
		c := checkAudit(t, s)
		want := e.named
		if strings.Contains(want, "%d") {
			want = fmt.Sprintf(want, n)
		}
		if c.Intact || !strings.Contains(strings.Join(c.Problems, "\n"), want) {
			t.Errorf("%s: not named with %q: %+v", statement, want, c)
		}
		if err := s.read.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d edits, all named", rounds)
}

// In PostgreSQL the insider owns the tables, and has each edit to himself in a
// transaction that is undone.
func insiderEditsInPostgres(t *testing.T) {
	s := logged(t, filepath.Join(t.TempDir(), "flopwatch.db"))
	defer func() { _ = s.Close() }()
	engine := strings.NewReplacer("cast(replace(cast(leaf AS TEXT), ", "convert_to(replace(convert_from(leaf, 'UTF8'), ", ") AS BLOB)", "), 'UTF8')", "zeroblob(32)", "decode(repeat('00', 32), 'hex')")
	random := rand.New(rand.NewPCG(1, 2))
	for _, e := range edits {
		n := random.IntN(10)
		statement := engine.Replace(fmt.Sprintf(e.statement, n))
		tx, err := s.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		// Neither triggers nor references stand in the way.
		if _, err := tx.Exec("SET LOCAL session_replication_role = replica; " + statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		c, err := NewReader(s, "", false).VerifyAudit(auditOrigin, auditKey.Public().(ed25519.PublicKey)).checkAudit(t.Context(), tx)
		if err != nil {
			t.Fatal(err)
		}
		want := e.named
		if strings.Contains(want, "%d") {
			want = fmt.Sprintf(want, n)
		}
		if c.Intact || !strings.Contains(strings.Join(c.Problems, "\n"), want) {
			t.Errorf("%s: not named with %q: %+v", statement, want, c)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// An edit while the collector is stopped stays in the log after it goes on.
func TestOutsideEditsStayNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	if err := logged(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, "UPDATE customer SET status = 'foreign' WHERE id = 'cus_7'")
	s := open(t, filepath.Dir(path))
	c := checkAudit(t, s)
	if c.Intact || !strings.Contains(strings.Join(c.Problems, "\n"), "another program changed customer cus_7") {
		t.Errorf("check = %+v", c)
	}
}

// A log that was signed proves that it is in every later one.
func TestLogOnlyGrows(t *testing.T) {
	s := logged(t, filepath.Join(t.TempDir(), "flopwatch.db"))
	defer func() { _ = s.Close() }()
	old := sign(t, s)
	if _, err := s.PutCustomers(t.Context(), []party.Customer{{ID: "cus_new", Name: "n", Country: "US", Status: party.US}}, false); err != nil {
		t.Fatal(err)
	}
	next := sign(t, s)
	if next.Size != old.Size+3 { // the customer, its contract and its account
		t.Fatalf("from %d to %d entries", old.Size, next.Size)
	}
	path, err := audit.ProveConsistency(next.Size, old.Size, &tree{ctx: t.Context(), q: s.read})
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.CheckConsistency(next, old, path); err != nil {
		t.Error(err)
	}
}

// A table is either protected by the log or it says here why it need not be.
func TestEveryTableIsThoughtOf(t *testing.T) {
	s := open(t, t.TempDir())
	unprotected := map[string]string{
		"meta": "counters", "workload": "dictionary", "tenant": "dictionary", "method": "dictionary",
		"host": "from signed batches", "carried": "from signed batches", "device": "from signed batches", "segment": "from signed batches", "event": "from signed batches", "host_address": "from signed batches", "traffic": "from signed batches", "sign": "from signed batches",
		"evidence": "lengths of the files of signed batches", "quarantine": "bounded, what was refused", "uncounted": "from signed batches and when they came; a bundle says which it leaves out",
		"correction": "from segments and allocations", "piece": "from segments and corrections", "run": "from segments",
		"run_part": "from segments and join_decision", "run_join": "from segments and join_decision", "run_change": "follows from run and run_part, by the day",
		"audit_leaf": "the log", "audit_node": "the log", "audit_checkpoint": "the log", "audit_pending": "empty between transactions",
		"host_counter":    "changes with each connection; what follows from it is in inventory_change",
		"customer_tenant": "state of the customer", "case_change": "state of the case", "report_change": "state of the report", "filer_change": "state of the filer", "policy_change": "state of the policy", "rollout_change": "state of the roll-out",
		"run_day": "from segments", "host_energy": "from signed batches", "power_meter": "from power_reading", "power_reading": "its digest is in power_import",
		"power_slot": "from power_reading and host_energy", "power_span": "from power_slot", "policy_lookback": "follows from policy and policy_finding",
		"notification": "tells of what the log has", "notification_channel": "how far a channel was told", "escalation": "which deadlines were told of",
		"collector": "who shares the work now", "job": "how a simulation stands; its report is protected", "tenant_change": "from segments",
		"partition_lease": "who counts which hosts now", "partition_term": "who counted them when; what was counted is evidence",
		"finding_standing": "follows from finding and finding_work", "api_token_use": "changes with use; what a token does is in the log", "api_token_elsewhere": "counts; that a token was tried is in the log", "asked_once": "for a day; what was done is in the log", "desk_session": "by hash, for half a day; what is done in one is in the log",
	}
	for _, k := range auditedKinds {
		unprotected[k.kind] = "protected"
	}
	tables, triggers := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name = ?"
	if storetest.Postgres() {
		tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'flopwatch'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'schema_version'"
		triggers = "SELECT count(*) FROM pg_trigger WHERE tgname = ? AND tgparentid = 0"
	}
	err := each(t.Context(), s.read, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		if unprotected[name] == "" {
			t.Errorf("table %s: add it to auditedKinds, with triggers in its migration, or say in this test why the audit log need not protect it", name)
		}
		return err
	}, tables)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range auditedKinds {
		for _, when := range []string{"insert", "update", "delete"} {
			n := 0
			if err := s.read.QueryRow(triggers, "audit_"+k.kind+"_"+when).Scan(&n); err != nil || n != 1 {
				t.Errorf("trigger audit_%s_%s is missing, %v", k.kind, when, err)
			}
		}
	}
}

func BenchmarkAuditedChange(b *testing.B) {
	s, err := openOn(b, filepath.Join(b.TempDir(), "flopwatch.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := 0; b.Loop(); i++ {
		if _, err := s.PutCustomers(b.Context(), []party.Customer{{ID: fmt.Sprint("cus_", i), Name: "n", Country: "US", Status: party.US}}, false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuditAppend(b *testing.B) {
	s, err := openOn(b, filepath.Join(b.TempDir(), "flopwatch.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	act := audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "usr_1"}, Action: "customer.read"}
	for i := 0; b.Loop(); i++ {
		err := s.transact(b.Context(), func(tx *sql.Tx) error {
			return s.append(b.Context(), tx, []audit.Entry{entryOf(act, audit.Object{Kind: "customer", ID: fmt.Sprint("cus_", i)}, "", "")})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
