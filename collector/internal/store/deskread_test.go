package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// fillDesk writes what the desk reads.
func fillDesk(t testing.TB, s *Store, customers, runs, findings int) {
	t.Helper()
	storetest.FillDesk(t, s.path, customers, runs, findings)
}

// Page after page of any size gives what one page of everything gives, whoever is
// asked for.
func TestPagesAreTheWholeList(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 20, 300, 1000)
	r := NewReader(s, "", false)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 130).Draw(t, "limit")
		q := rapid.SampledFrom([]desk.RunQuery{{}, {Tenant: "ten_000003"}, {Customer: "cus_000007"}, {Customer: "cus_none"}, {Prefix: "run_000012"}, {Prefix: "x"}}).Draw(t, "runs")
		pages(t, limit, func(after string, limit int) ([]desk.Run, error) {
			q := q
			q.After, q.Limit = after, limit
			return r.Runs(ctx, q)
		}, func(run desk.Run) string { return run.ID })
		f := rapid.SampledFrom([]desk.FindingQuery{{}, {State: "open"}, {State: "triaged"}, {State: "suppressed"}, {About: []string{"cus_000001", "run_0000004"}}, {About: []string{"cus_000001"}, State: "open"},
			{State: "open", Urgent: true}, {Urgent: true}, {State: "triaged", By: "usr_a"}, {State: "suppressed", By: "usr_a", Urgent: true}, {By: "usr_none"}, {Prefix: "fnd_0000012"}}).Draw(t, "findings")
		pages(t, limit, func(after string, limit int) ([]desk.Finding, error) {
			q := f
			q.After, q.Limit = after, limit
			return r.Findings(ctx, q)
		}, func(f desk.Finding) string { return f.ID })
	})
	for _, q := range []desk.RunQuery{{After: "run_none"}, {After: "run_none", Tenant: "ten_000001"}} {
		if _, err := r.Runs(ctx, q); !errors.Is(err, desk.ErrGone) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := r.Findings(ctx, desk.FindingQuery{After: "fnd_none"}); !errors.Is(err, desk.ErrGone) {
		t.Errorf("behind a finding that is not there: %v", err)
	}
}

func pages[T any](t *rapid.T, limit int, read func(after string, limit int) ([]T, error), id func(T) string) {
	whole, err := read("", 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []T
	for after := ""; ; {
		page, err := read(after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("%d rows of at most %d", len(page), limit)
		}
		got = append(got, page...)
		if len(page) < limit {
			break
		}
		after = id(page[len(page)-1])
	}
	if d := cmp.Diff(whole, got); d != "" {
		t.Fatalf("whole list and pages of %d differ (-whole +pages):\n%s", limit, d)
	}
}

// Findings by how the work on them stands are those that the work says.
func TestFindingsByState(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 20, 300, 1000)
	r := NewReader(s, "", false)
	work := must(t, func(ctx context.Context) (map[string]desk.FindingWork, error) { return r.FindingWork(ctx, nil) })
	all := must(t, func(ctx context.Context) ([]desk.Finding, error) { return r.Findings(ctx, desk.FindingQuery{}) })
	if len(all) != 1000 {
		t.Fatalf("%d findings", len(all))
	}
	for _, state := range []string{"open", "triaged", "attached", "dismissed", "suppressed"} {
		var want, got []string
		for _, f := range all {
			if w, ok := work[f.ID]; ok && w.State == state || !ok && state == "open" {
				want = append(want, f.ID)
			}
		}
		for _, f := range must(t, func(ctx context.Context) ([]desk.Finding, error) {
			return r.Findings(ctx, desk.FindingQuery{State: state})
		}) {
			got = append(got, f.ID)
		}
		if !slices.Equal(got, want) || len(want) == 0 && state != "attached" {
			t.Errorf("%s: %d findings, want %d", state, len(got), len(want))
		}
	}
}

// The highest finding of each subject is the newest with the highest threshold of all
// that speak of it.
func TestHighestFindings(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 20, 300, 1000)
	r := NewReader(s, "", false)
	all := must(t, func(ctx context.Context) ([]desk.Finding, error) { return r.Findings(ctx, desk.FindingQuery{}) })
	rapid.Check(t, func(rt *rapid.T) {
		var subjects []string
		for range rapid.IntRange(0, 30).Draw(rt, "subjects") {
			subjects = append(subjects, fmt.Sprintf("run_%07d", rapid.IntRange(0, 400).Draw(rt, "run")))
		}
		want := map[string]string{}
		highest := map[string]compute.Operations{}
		for _, f := range all {
			if slices.Contains(subjects, f.Subject) && f.Threshold > highest[f.Subject] {
				want[f.Subject], highest[f.Subject] = f.ID, f.Threshold
			}
		}
		found, err := r.HighestFindings(t.Context(), subjects)
		if err != nil {
			rt.Fatal(err)
		}
		got := map[string]string{}
		for subject, f := range found {
			if got[subject] = f.ID; f.Subject != subject || f.Threshold != highest[subject] || f.Pack == "" || f.PackStatus == "" {
				rt.Errorf("%s: %+v", subject, f)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			rt.Errorf("(-want +got):\n%s", d)
		}
	})
}

// The queue has the most severe first, and of those the one that waits longest.
func TestTheQueueIsByUrgency(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 20, 300, 1000)
	db, err := storetest.Raw(t, s.path)
	if err != nil {
		t.Fatal(err)
	}
	for no, severity := range map[int]string{990: "critical", 501: "high", 992: "critical", 3: "info"} {
		// Findings are never changed, so what they follow from is.
		if _, err := db.Exec("UPDATE finding_standing SET urgency = CASE ? WHEN 'critical' THEN 3 WHEN 'high' THEN 2 ELSE 0 END WHERE no = ?", severity, no); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	all := must(t, func(ctx context.Context) ([]desk.Finding, error) {
		return NewReader(s, "", false).Findings(ctx, desk.FindingQuery{State: "open", Urgent: true})
	})
	ids := make([]string, len(all))
	for i, f := range all {
		ids[i] = f.ID
	}
	if d := cmp.Diff([]string{"fnd_00000989", "fnd_00000991", "fnd_00000500", "fnd_00000000", "fnd_00000001", "fnd_00000003"}, ids[:6]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if last := ids[len(ids)-1]; last != "fnd_00000002" {
		t.Errorf("the least urgent is not last: %s", last)
	}
}

// What somebody worked on last is theirs, as it follows from the rows.
func TestStandingFollowsWork(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 20, 300, 1000)
	var wrong int
	err := s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM finding f JOIN finding_standing s ON s.no = f.no
		WHERE s.urgency <> CASE f.severity WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END
		OR s.actor <> coalesce((SELECT w.actor FROM finding_work w WHERE w.finding = f.id ORDER BY w.no DESC LIMIT 1), '')`).Scan(&wrong)
	if err != nil || wrong > 0 {
		t.Errorf("%d wrong, %v", wrong, err)
	}
}

// No list of the desk reads a table from end to end, and none that is in the
// order of an index sorts.
func TestHotQueriesGoAlongIndexes(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 200, 3000, 10_000)
	tx, err := s.read.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name   string
		query  any
		sorted bool // the rows found are few, and are sorted
	}{
		{"first page of runs", desk.RunQuery{Limit: 101}, false},
		{"later page of runs", desk.RunQuery{Limit: 101, After: "run_0001500"}, false},
		{"one run", desk.RunQuery{IDs: []string{"run_0000001"}}, true},
		{"runs of a tenant", desk.RunQuery{Tenant: "ten_000001", Limit: 101}, true},
		{"runs of a customer", desk.RunQuery{Customer: "cus_000001", Limit: 101}, true},
		{"first page of findings", desk.FindingQuery{Limit: 101}, false},
		{"later page of findings", desk.FindingQuery{Limit: 101, After: "fnd_00005000"}, false},
		{"findings about runs", desk.FindingQuery{About: []string{"run_0000001", "run_0000002"}}, true},
		{"findings of a case", desk.FindingQuery{IDs: []string{"fnd_00000001"}}, true},
		{"triaged findings", desk.FindingQuery{State: "triaged", Limit: 101}, true},
		{"open findings", desk.FindingQuery{State: "open", Limit: 11}, true},
		{"the queue", desk.FindingQuery{State: "open", Urgent: true, Limit: 101}, true},
		{"what one person took", desk.FindingQuery{State: "triaged", By: "usr_a", Limit: 101}, true},
		{"what one person took, most urgent first", desk.FindingQuery{State: "triaged", By: "usr_a", Urgent: true, Limit: 101}, true},
		{"days of a customer", customerDaysQuery, true},
		{"highest findings of runs", highestQuery, true},
		{"runs whose id begins so", desk.RunQuery{Prefix: "run_000012", Limit: 11}, true},
		{"findings whose id begins so", desk.FindingQuery{Prefix: "fnd_0000012", Limit: 11}, true},
	} {
		var text string
		var args []any
		var err error
		switch q := c.query.(type) {
		case string:
			text, args = q, []any{"cus_000001"}
			if q == highestQuery {
				args = []any{`["run_0000001", "run_0000002"]`}
			}
		case desk.RunQuery:
			text, args, err = runQuery(t.Context(), tx, q)
		case desk.FindingQuery:
			if text, args, err = findingQuery(t.Context(), tx, q); q.Urgent {
				text, args = urgentQuery(q, 1, 500, q.Limit)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if storetest.Postgres() {
			// A table of some thousand rows it would rather read than search.
			if _, err := tx.Exec("SET LOCAL enable_seqscan = off"); err != nil {
				t.Fatal(err)
			}
			if plan := postgresPlan(t, tx, text, args...); largeScanRE.MatchString(plan) || !c.sorted && strings.Contains(plan, "Sort Key") {
				t.Errorf("%s reads all of a table, or sorts:\n%s", c.name, plan)
			}
			continue
		}
		var plan []string
		err = each(t.Context(), tx, func(rows *sql.Rows) error {
			var id, parent, unused int
			var detail string
			err := rows.Scan(&id, &parent, &unused, &detail)
			plan = append(plan, detail)
			return err
		}, "EXPLAIN QUERY PLAN "+text, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan {
			table, scanned := strings.CutPrefix(step, "SCAN ")
			along := strings.Contains(step, "INDEX") || c.name == "first page of findings" || c.name == "later page of findings" // by the row number
			if scanned && !along && !strings.HasPrefix(table, "json_each") && !strings.HasPrefix(table, "(subquery") && table != "newest" && table != "part" {
				t.Errorf("%s reads all of a table: %s\n%s", c.name, step, strings.Join(plan, "\n"))
			}
			if strings.Contains(step, "TEMP B-TREE FOR ORDER BY") && !c.sorted {
				t.Errorf("%s sorts:\n%s", c.name, strings.Join(plan, "\n"))
			}
		}
	}
}

// What was read is given again until something is written, by whomever.
func TestListsAreReadOnce(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 3, 10, 10)
	r := NewReader(s, "", false)
	first := must(t, r.Customers)
	if again := must(t, r.Customers); &first[0] != &again[0] {
		t.Error("nothing was written, and the list was read again")
	}
	storetest.Edit(t, s.path, "DELETE FROM customer_tenant WHERE customer = 'cus_000001'")
	for _, c := range must(t, r.Customers) {
		if c.ID == "cus_000001" && len(c.Tenants) > 0 {
			t.Errorf("another program took %v away, and they are still told", c.Tenants)
		}
	}
}

// Nobody who reads holds one connection and waits for another: as many readers as
// there are connections would wait for each other for ever. With one connection
// one reader does.
func TestReadersNeedOneConnection(t *testing.T) {
	s, err := openOn(t, t.TempDir()+"/flopwatch.db", Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	fillDesk(t, s, 20, 100, 200)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r := reflect.ValueOf(NewReader(s, "", false).VerifyAudit("flopwatch.test", make([]byte, 32)))
	wanted := reflect.TypeFor[desk.Reader]()
	for i := range wanted.NumMethod() {
		name := wanted.Method(i).Name
		method := r.MethodByName(name)
		in := []reflect.Value{reflect.ValueOf(ctx)}
		for k := 1; k < method.Type().NumIn(); k++ {
			arg := reflect.New(method.Type().In(k)).Elem()
			if arg.Kind() == reflect.String {
				arg.SetString(map[string]string{"UltimateCustomer": "cus_000001", "Standing": "cus_000001"}[name])
			}
			in = append(in, arg)
		}
		out := method.Call(in)
		if err, _ := out[len(out)-1].Interface().(error); errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s waits for a second connection: %v", name, err)
		}
	}
}

// An answer that took long may be given again while the ledger grows, and never
// after somebody did something.
func TestActsShowAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	var reads int
	slow := remembered[int]{}
	read := func() int {
		t.Helper()
		got, err := slow.get(t.Context(), s, func() (int, error) { reads++; return reads, nil })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	write := func(ctx context.Context) {
		t.Helper()
		if err := s.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	read()
	slow.took = time.Hour
	write(growing(t.Context()))
	if got := read(); got != 1 {
		t.Errorf("the ledger grew, and what takes an hour was read %d times", got)
	}
	write(t.Context())
	if got := read(); got != 2 {
		t.Errorf("somebody did something, and it was read %d times", got)
	}
}

// BenchmarkDeskLists reads what the desk shows first of 10,000 customers, 100,000
// runs and 1,000,000 findings.
func BenchmarkDeskLists(b *testing.B) {
	s, err := openOn(b, b.TempDir()+"/flopwatch.db", Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	fillDesk(b, s, 10_000, 100_000, 1_000_000)
	r := NewReader(s, "", false)
	for name, read := range map[string]func() (int, error){
		"runs": func() (int, error) { l, err := r.Runs(b.Context(), desk.RunQuery{Limit: 101}); return len(l), err },
		"runs/deep": func() (int, error) {
			l, err := r.Runs(b.Context(), desk.RunQuery{Limit: 101, After: "run_0050000"})
			return len(l), err
		},
		"runs/of a customer": func() (int, error) {
			l, err := r.Runs(b.Context(), desk.RunQuery{Customer: "cus_000777", Limit: 101})
			return len(l), err
		},
		"findings": func() (int, error) {
			l, err := r.Findings(b.Context(), desk.FindingQuery{Limit: 101})
			return len(l), err
		},
		"findings/open": func() (int, error) {
			l, err := r.Findings(b.Context(), desk.FindingQuery{State: "open", Limit: 11})
			return len(l), err
		},
		"findings/triaged": func() (int, error) {
			l, err := r.Findings(b.Context(), desk.FindingQuery{State: "triaged", Limit: 101})
			return len(l), err
		},
		"findings/about": func() (int, error) {
			l, err := r.Findings(b.Context(), desk.FindingQuery{About: []string{"cus_000777", "run_0000777"}, Limit: 101})
			return len(l), err
		},
		"customers/read": func() (int, error) { l, err := r.readCustomers(b.Context()); return len(l), err },
		"tenants/read":   func() (int, error) { l, err := r.readTenants(b.Context()); return len(l), err },
		"customers":      func() (int, error) { l, err := r.Customers(b.Context()); return len(l), err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, err := read(); err != nil || n == 0 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
