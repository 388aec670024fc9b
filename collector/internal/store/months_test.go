package store

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/power"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// monthly is a store on PostgreSQL whose clock says noon.
func monthly(t *testing.T) *Store {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(t.Context(), filepath.Join(dir, "flopwatch.db"), Options{Postgres: storetest.PostgresDatabase(t, dir, nil), Now: atNoon})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// monthsIn are the months of a table with how many rows each holds.
func monthsIn(t *testing.T, db *sql.DB, table string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, name := range rowsOf(t, db, "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '"+table+"'::regclass") {
		var n int64
		if err := db.QueryRow("SELECT count(*) FROM " + quote(name[0])).Scan(&n); err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(name[0], table+"_")] = n
	}
	return out
}

// windowsAt is a batch of one host with a window at each of the instants.
func windowsAt(seq uint64, at ...time.Time) *ledger.Batch {
	b := reports("hosta", "hosta", seq, []ledger.Device{gpu("GPU-a", "H100")})
	b.Events = nil
	for i, t := range at {
		w := job
		w.ID = fmt.Sprint(seq, "-", i)
		e := entry(measure.Attributed, "ten_a", w, measure.GPM, 10, compute.Bounds{Low: 1, Best: 2, High: 3}, 10)
		e.EnergyMJ = 1000
		b.Windows = append(b.Windows, measure.Window{Device: "GPU-a", StartNS: t.UnixNano(), EndNS: t.Add(10 * time.Second).UnixNano(), Entries: []measure.Entry{e}})
	}
	return b
}

func countIn(t *testing.T, s *Store, batches ...*ledger.Batch) {
	t.Helper()
	book, err := s.LoadLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := book.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}); err != nil {
		t.Fatal(err)
	}
}

// Rows lie in the place of their month, which is made when they come; what no clock
// should say lies in the rest, and is counted all the same.
func TestRowsLieInTheirMonth(t *testing.T) {
	s := monthly(t)
	if err := s.MakeMonthsAhead(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	for _, table := range byMonth {
		if d := cmp.Diff(map[string]int64{"2026_03": 0, "2026_04": 0, "2026_05": 0, "rest": 0}, monthsIn(t, s.read, table.table)); d != "" {
			t.Errorf("%s, -want +got:\n%s", table.table, d)
		}
	}
	ancient := time.Date(1994, 1, 1, 0, 0, 0, 0, time.UTC)
	january := time.Date(2026, 1, 31, 23, 59, 55, 0, time.UTC) // and into February
	countIn(t, s, windowsAt(1, ancient, january, noon))
	got := monthsIn(t, s.read, "segment")
	// The devices were unobserved between the windows: those segments begin in the rest
	// and in February.
	if d := cmp.Diff(map[string]int64{"2026_01": 1, "2026_02": 1, "2026_03": 1, "2026_04": 0, "2026_05": 0, "rest": 2}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	// Segments go on where they lie, also after a restart.
	b := windowsAt(2, noon.Add(10*time.Second), noon.Add(20*time.Second))
	for i := range b.Windows {
		b.Windows[i].Entries[0].Workload.ID = "1-2"
	}
	countIn(t, s, b)
	// Who takes the host over looks for what may still grow in no month before.
	var open int64
	if err := s.read.QueryRow("SELECT open_ns FROM device").Scan(&open); err != nil || open != noon.UnixNano() {
		t.Errorf("open since %v, %v", time.Unix(0, open).UTC(), err)
	}
	c, err := NewReader(s, "", false).Check(t.Context())
	if err != nil || !c.Balanced || c.Totals.Segments != 5 {
		t.Errorf("%+v, %v", c, err)
	}
	if problems, err := s.Integrity(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
}

// Who holds a table for long keeps nobody from counting: rows of a month that could not
// be made lie in the rest, and stay there.
func TestNobodyWaitsForAMonth(t *testing.T) {
	s := monthly(t)
	countIn(t, s, windowsAt(1, noon.AddDate(0, -1, 0)))
	tx, err := s.read.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("SELECT count(*) FROM segment"); err != nil {
		t.Fatal(err)
	}
	countIn(t, s, windowsAt(2, noon))
	if got := monthsIn(t, s.db, "segment"); got["rest"] == 0 || len(got) != 2 {
		t.Errorf("places %v", got)
	}
	if err := s.MakeMonthsAhead(t.Context(), noon); err == nil {
		t.Error("who makes months ahead is not told that a table is held")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	s.places = places{} // as after a minute
	if err := s.MakeMonthsAhead(t.Context(), noon); err != nil {
		t.Error(err)
	}
	if got := monthsIn(t, s.read, "segment"); got["rest"] == 0 || got["2026_04"] != 0 || len(got) != 4 {
		t.Errorf("places %v", got)
	}
	if c, err := NewReader(s, "", false).Check(t.Context()); err != nil || !c.Balanced {
		t.Errorf("%+v, %v", c, err)
	}
}

// The energy of hosts goes by whole months, on both engines the same ones.
func TestEnergyGoesByMonths(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			var s *Store
			if engine == "postgres" {
				s = monthly(t)
			} else {
				var err error
				if s, err = Open(t.Context(), filepath.Join(t.TempDir(), "flopwatch.db"), Options{Now: atNoon}); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
			}
			var at []time.Time
			for month := range 6 {
				at = append(at, time.Date(2025, time.Month(10+month), 1, 0, 0, 0, 0, time.UTC), time.Date(2025, time.Month(10+month), 25, 0, 0, 0, 0, time.UTC))
			}
			countIn(t, s, windowsAt(1, append([]time.Time{time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)}, at...)...))
			for range 2 { // a second time there is nothing to do
				if err := s.PruneEnergy(t.Context(), noon); err != nil {
					t.Fatal(err)
				}
			}
			// Noon is on the first of March: 35 days before is in January. The slot of the last
			// window is with its host.
			var oldest, n int64
			if err := s.read.QueryRow("SELECT min(slot_ns), count(*) FROM host_energy").Scan(&oldest, &n); err != nil {
				t.Fatal(err)
			}
			if want := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); oldest != want.UnixNano() || n != 5 {
				t.Errorf("%d slots from %v, want 5 from %v", n, time.Unix(0, oldest).UTC(), want)
			}
			if engine == "postgres" {
				if got := monthsIn(t, s.read, "host_energy"); len(got) != 4 || got["rest"] != 0 || got["2026_01"] != 2 {
					t.Errorf("places %v", got)
				}
			}
		})
	}
}

// Readings of meters make the months that they are of.
func TestReadingsMakeTheirMonths(t *testing.T) {
	s := monthly(t)
	countIn(t, s, windowsAt(1, noon))
	at := time.Date(2026, 1, 31, 23, 55, 0, 0, time.UTC)
	r := power.Reading{Meter: "m", Kind: "bmc", Host: "hosta", StartNS: at.UnixNano(), EndNS: at.Add(10 * time.Minute).UnixNano(), EnergyMJ: 1000}
	if _, err := s.PutPower(t.Context(), "x.csv", []power.Reading{r}, false); err != nil {
		t.Fatal(err)
	}
	if got := monthsIn(t, s.read, "power_slot"); got["2026_01"] != 1 || got["2026_02"] != 1 || got["rest"] != 0 {
		t.Errorf("slots %v", got)
	}
	if got := monthsIn(t, s.read, "power_reading"); got["2026_01"] != 1 || got["rest"] != 0 {
		t.Errorf("readings %v", got)
	}
}

var readsRE = regexp.MustCompile(`(?:on|Update on|Insert on) (\w+_(?:\d{4}_\d\d|rest))\b`)

// What asks for a span of time, or names a row with its time, touches the tables of
// those months alone.
func TestPlansReadTheirMonthsAlone(t *testing.T) {
	_, url, _ := moveYear(t, storetest.Year{Hosts: 2, Days: 365, PerDay: 1})
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "x", "flopwatch.db"), Options{Postgres: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got := monthsIn(t, s.read, "segment"); len(got) < 13 || got["rest"] != 0 || got["2025_07"] != 16*31 {
		t.Errorf("places after the move: %v", got)
	}
	from, to := time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC).UnixNano(), time.Date(2025, 8, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	for name, c := range map[string]struct {
		query string
		args  []any
		want  []string
	}{
		"a segment goes on":     {"UPDATE segment SET end_ns = ? WHERE id = ? AND start_ns = ?", []any{to, 1, from}, []string{"segment_2025_07"}},
		"totals of a month":     {"SELECT sum(s.ops_best) FROM segment s WHERE s.start_ns >= ? AND s.end_ns <= ? AND s.start_ns < ?", []any{from, to, to}, []string{"segment_2025_07"}},
		"a corrected segment":   {"SELECT s.device FROM correction c CROSS JOIN segment s ON s.id = c.segment AND s.start_ns = c.segment_start_ns WHERE c.id = ? AND c.segment_start_ns = ?", []any{1, from}, []string{"segment_2025_07"}},
		"events of a month":     {"SELECT count(*) FROM event WHERE time_ns >= ? AND time_ns < ?", []any{int64(1735689600) * 1e9, int64(1735689601) * 1e9}, []string{"event_2025_01"}},
		"energy of a slot":      {"SELECT energy_mj FROM host_energy WHERE host = ? AND slot_ns = ?", []any{1, int64(1735689600) * 1e9}, []string{"host_energy_2025_01"}},
		"a slot that is judged": {"UPDATE power_slot SET answer = ? WHERE host = ? AND slot_ns = ? AND kind = ?", []any{1, "h", from, "bmc"}, []string{"power_slot_rest"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := postgresPlan(t, s.db, c.query, c.args...)
			touched := map[string]bool{}
			for _, m := range readsRE.FindAllStringSubmatch(plan, -1) {
				touched[m[1]] = true
			}
			var got []string
			for name := range touched {
				got = append(got, name)
			}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("touches %v, want %v:\n%s", got, c.want, plan)
			}
		})
	}
	// And where the server keeps one plan for all values: it leaves out tables when it runs.
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE go_on (bigint, bigint, bigint) AS UPDATE segment SET end_ns = $1 WHERE id = $2 AND start_ns = $3"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	analyzed := func(query string) string {
		var plan []string
		err := each(t.Context(), conn, func(rows *sql.Rows) error {
			var line string
			err := rows.Scan(&line)
			plan = append(plan, line)
			return err
		}, "EXPLAIN (ANALYZE, COSTS OFF) "+query)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(plan, "\n")
	}
	if text := analyzed(fmt.Sprintf("EXECUTE go_on (%d, 1, %d)", to, from)); !strings.Contains(text, "Subplans Removed") || strings.Count(text, "Index Scan") != 1 {
		t.Errorf("one plan for all values:\n%s", text)
	}
	// Who takes hosts over asks for each device in the months of what may still grow. The
	// server must be made to, since these tables are small.
	for _, statement := range []string{"UPDATE device SET open_ns = last_ns - 86400000000000", "SET enable_hashjoin = off", "SET enable_mergejoin = off", "SET enable_seqscan = off", "SET enable_bitmapscan = off"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	text := analyzed("SELECT s.id FROM device d JOIN segment s ON s.device = d.no WHERE s.end_ns = d.last_ns AND s.start_ns >= d.open_ns")
	if strings.Count(text, "never executed") < 11 {
		t.Errorf("taking over reads old months:\n%s", text)
	}
}

// before returns the steps of the schema up to a number.
func before(t *testing.T, newest int) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	entries, err := postgresMigrations.ReadDir("migrations/postgres")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := postgresMigrations.ReadFile("migrations/postgres/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%04d", &n); err != nil {
			t.Fatal(err)
		}
		if n <= newest {
			files["m/"+e.Name()] = &fstest.MapFile{Data: text}
		}
	}
	return files
}

// fillBeforeMonths writes a year of n segments and what lies beside them into a database of the
// schema before tables were kept by months, with pieces and corrections.
const fillBeforeMonths = `
INSERT INTO host (no, id, public_key, name, os, kernel, agent_version, boot_id, epoch, seq, hash, first_ns, last_ns, batches) VALUES (1, 'hosta', 'k', 'n', 'linux', '6', '1', 'b', 1, 1, '', 1, 2, 1);
INSERT INTO device (no, host, id, name, pci_id, cc, sm_count, max_sm_mhz, memory_mib, parent, sku, grade, peak, ceiling, first_ns, last_ns, overlap_ns, windows, recent_ops, recent_ns) VALUES (1, 1, 'GPU-a', 'H100', '', '', 1, 1, 1, '', '', '', 1, 1, 1, 2, 0, 0, 0, 0);
INSERT INTO tenant (no, id) OVERRIDING SYSTEM VALUE VALUES (1, 'ten_a'), (2, 'ten_b');
INSERT INTO workload (no, kind, id, hint) OVERRIDING SYSTEM VALUE VALUES (1, 'slurm_job', '1', '');
INSERT INTO method (no, name, version, precision, reason, grade) OVERRIDING SYSTEM VALUE VALUES (1, 'gpm', 1, '', '', 'E1');
INSERT INTO segment (id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high, ceiling, energy_mj, ops_float, claim_state, claim, rhythm)
  SELECT i, 1, 1, 1, 1, 1, 1735689600000000000 + i * (31536000000000000 / %[1]d), 1735689600000000000 + i * (31536000000000000 / %[1]d) + 1000, 1000, i, i + 1, i + 2, 9, i, 0, i %% 3, CASE WHEN i %% 3 > 0 THEN 2 END, decode('0' || i %% 10, 'hex')
  FROM generate_series(1, %[1]d) AS i;
UPDATE segment SET start_ns = 5, end_ns = 6, duration_ns = 1 WHERE id = 7;
INSERT INTO event (host, device, time_ns, kind, code, detail) SELECT 1, '', 1735689600000000000 + i * (31536000000000000 / %[1]d), 'xid', i, 'é ''x''' FROM generate_series(1, %[1]d) AS i;
INSERT INTO event (host, device, time_ns, kind, code, detail) VALUES (1, '', 1, 'xid', 0, '');
DELETE FROM event WHERE time_ns = 1;
INSERT INTO host_energy (host, slot_ns, energy_mj, known_ns) SELECT 1, 1735689600000000000 + i * 900000000000, i, i FROM generate_series(1, %[1]d) AS i;
INSERT INTO power_meter (id, host, kind) VALUES ('m', 'hosta', 'bmc');
INSERT INTO power_reading (meter, start_ns, end_ns, energy_mj, overhead_mj, import) SELECT 'm', 1735689600000000000 + i * 900000000000, 1735689600000000000 + (i + 1) * 900000000000, i, i, 'p' FROM generate_series(1, %[1]d) AS i;
INSERT INTO power_slot (host, slot_ns, kind, energy_mj, overhead_mj, covered_ns, answer, reported_mj, reason) SELECT 'hosta', 1735689600000000000 + i * 900000000000, 'bmc', i, i, i, i %% 5, i, 'r' FROM generate_series(1, %[1]d) AS i;
INSERT INTO correction (segment, from_ns, to_ns, state_before, tenant_before, state_after, tenant_after, duration_ns, ops_low, ops_best, ops_high, ops_float, ceiling, energy_mj, allocations, recorded_ns)
  SELECT id, start_ns, end_ns, 1, 1, 1, 2, duration_ns, ops_low, ops_best, ops_high, 0, ceiling, energy_mj, 1, 1 FROM segment WHERE id %% 7 = 0;
INSERT INTO piece (segment, no, from_ns, to_ns, state, tenant, duration_ns, ops_low, ops_best, ops_high, ops_float, ceiling, energy_mj)
  SELECT id, 0, start_ns, end_ns, 1, 2, duration_ns, ops_low, ops_best, ops_high, 0, ceiling, energy_mj FROM segment WHERE id %% 7 = 0;
`

// digests are those of all rows that the step to months touches, by the columns of before.
func digests(t *testing.T, db *sql.DB) map[string]Moved {
	t.Helper()
	out := map[string]Moved{}
	for name, columns := range map[string]string{
		"segment":       "id device state workload tenant method start_ns end_ns duration_ns ops_low ops_best ops_high ceiling energy_mj ops_float claim_state claim rhythm",
		"event":         "id host device time_ns kind code detail",
		"host_energy":   "slot_ns host energy_mj known_ns",
		"power_reading": "start_ns meter end_ns energy_mj overhead_mj import",
		"power_slot":    "slot_ns host kind energy_mj overhead_mj covered_ns answer reported_mj reason",
		"correction":    "id segment from_ns to_ns state_before tenant_before state_after tenant_after duration_ns ops_low ops_best ops_high ops_float ceiling energy_mj allocations recorded_ns",
		"piece":         "segment no from_ns to_ns state tenant duration_ns ops_low ops_best ops_high ops_float ceiling energy_mj",
		"counted":       "id device state workload tenant method start_ns end_ns duration_ns ops_low ops_best ops_high ops_float ceiling energy_mj",
	} {
		of := table{name: name, columns: strings.Fields(columns)}
		of.order = of.columns[0]
		got, err := of.digest(t.Context(), db, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		out[name] = got
	}
	return out
}

// A database from before tables were kept by months is brought over row by row, and
// what does not arrive whole is not brought over at all. With FLOPWATCH_LONG there are 100,000
// rows of each.
func TestTheStepToMonthsLosesNothing(t *testing.T) {
	n := 1000
	if os.Getenv("FLOPWATCH_LONG") != "" {
		n = 100_000
	}
	const stepNumber = 36
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, nil)
	db, err := storetest.RawPostgres(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := migratePostgres(t.Context(), db, before(t, stepNumber-1), "m"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(fmt.Sprintf(fillBeforeMonths, n)); err != nil {
		t.Fatal(err)
	}
	was := digests(t, db)
	// A step that leaves a row behind, or changes one, is undone.
	for name, change := range map[string]struct{ from, to string }{
		"a row short":   {"INSERT INTO %I SELECT * FROM %I'", "INSERT INTO %I SELECT * FROM %I OFFSET 1'"},
		"a row doubled": {"EXECUTE format('SELECT count(*) AS n, coalesce(pg_catalog.sum(hashtextextended(t::text, 0)::numeric), 0) AS digest FROM %I t', t.name)", "INSERT INTO event SELECT id + 1000000000, host, device, time_ns, kind, code, detail FROM event LIMIT 1; EXECUTE format('SELECT count(*) AS n, coalesce(pg_catalog.sum(hashtextextended(t::text, 0)::numeric), 0) AS digest FROM %I t', t.name)"},
		"a value moved": {"EXECUTE format('SELECT count(*) AS n, coalesce(pg_catalog.sum(hashtextextended(t::text, 0)::numeric), 0) AS digest FROM %I t', t.name)", "UPDATE segment SET energy_mj = energy_mj + 1 - 2 * (id - 1) WHERE id IN (1, 2); EXECUTE format('SELECT count(*) AS n, coalesce(pg_catalog.sum(hashtextextended(t::text, 0)::numeric), 0) AS digest FROM %I t', t.name)"},
	} {
		files := before(t, stepNumber)
		step := files["m/0036_months.sql"]
		altered := strings.Replace(string(step.Data), change.from, change.to, 1)
		if altered == string(step.Data) {
			t.Fatalf("%s: the step has no such text", name)
		}
		files["m/0036_months.sql"] = &fstest.MapFile{Data: []byte(altered)}
		if _, err := migratePostgres(t.Context(), db, files, "m"); err == nil || !strings.Contains(err.Error(), "and by months has") {
			t.Errorf("%s: the step ended with %v", name, err)
		}
	}
	if version, err := postgresVersion(t.Context(), db); err != nil || version != stepNumber-1 {
		t.Errorf("after steps that failed the schema is %d, %v", version, err)
	}
	if d := cmp.Diff(was, digests(t, db)); d != "" {
		t.Errorf("steps that failed changed rows:\n%s", d)
	}
	begin := time.Now()
	if err := Migrate(t.Context(), url, ""); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows of each table brought over in %v", n, time.Since(begin).Round(time.Millisecond))
	if d := cmp.Diff(was, digests(t, db)); d != "" {
		t.Errorf("-before +after:\n%s", d)
	}
	if got := monthsIn(t, db, "segment"); len(got) < 13 || got["rest"] != 1 {
		t.Errorf("places %v", got)
	}
	for _, query := range []string{
		"SELECT count(*) FROM correction c WHERE NOT EXISTS (SELECT 1 FROM segment s WHERE s.id = c.segment AND s.start_ns = c.segment_start_ns)",
		"SELECT count(*) FROM piece c WHERE NOT EXISTS (SELECT 1 FROM segment s WHERE s.id = c.segment AND s.start_ns = c.segment_start_ns)",
		"SELECT count(*) FROM pg_class WHERE relnamespace = 'flopwatch'::regnamespace AND relname LIKE 'before%'",
	} {
		if got := rowsOf(t, db, query); got[0][0] != "0" {
			t.Errorf("%s: %v", query, got)
		}
	}
	// Numbers go on after the last one that was given, and references hold.
	var id int64
	if err := db.QueryRow("INSERT INTO event (host, device, time_ns, kind, code, detail) VALUES (1, '', 1, 'xid', 0, '') RETURNING id").Scan(&id); err != nil || id != int64(n)+2 {
		t.Errorf("the next event has number %d, %v", id, err)
	}
	for _, statement := range []string{"DELETE FROM segment WHERE id = 14", "UPDATE piece SET segment_start_ns = 5 WHERE segment = 14", "UPDATE segment SET end_ns = end_ns WHERE id = 14", "UPDATE correction SET ceiling = 0"} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("%s: nobody refused", statement)
		}
	}
	s, err := Open(t.Context(), filepath.Join(dir, "flopwatch.db"), Options{Postgres: url})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := s.Integrity(t.Context())
	if err := errors.Join(err, s.Close()); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
}
