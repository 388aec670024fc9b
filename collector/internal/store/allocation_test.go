package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func allocate(t testing.TB, s *Store, all ...allocation.Allocation) Amendment {
	t.Helper()
	done, err := s.PutAllocations(t.Context(), all, noon, false)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func listed(t testing.TB, s *Store) []desk.Allocation {
	t.Helper()
	return must(t, NewReader(s, "", false).Allocations)
}

// text returns the rows of a query as a line each.
func text(t testing.TB, s *Store, query string) []string {
	t.Helper()
	rows, err := s.read.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, c := range cells {
			line += fmt.Sprint(*c.(*any), " ")
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

var toT9 = allocation.Allocation{ID: "x", Host: "alpha", Tenant: "t9", FromNS: at(0), ToNS: at(15)}

func TestPutAllocations(t *testing.T) {
	s := open(t, t.TempDir())
	other := allocation.Allocation{ID: "y", WorkloadKind: measure.KindSlurmJob, WorkloadID: "7", Tenant: "t8", FromNS: at(0)}
	if d := cmp.Diff(allocation.Diff{New: []string{"x", "y"}}, allocate(t, s, toT9, other).Diff); d != "" {
		t.Error(d)
	}
	want := []desk.Allocation{
		{ID: "x", Host: "alpha", Tenant: "t9", FromNS: at(0), ToNS: at(15), RecordedNS: noon.UnixNano()},
		{ID: "y", WorkloadKind: measure.KindSlurmJob, WorkloadID: "7", Tenant: "t8", FromNS: at(0), RecordedNS: noon.UnixNano()},
	}
	if d := cmp.Diff(want, listed(t, s)); d != "" {
		t.Error(d)
	}
	before := revision(t, s)
	if d := cmp.Diff(Amendment{Diff: allocation.Diff{Unchanged: []string{"x", "y"}}}, allocate(t, s, toT9, other)); d != "" || revision(t, s) != before {
		t.Errorf("a second time:\n%s", d)
	}
	ended := other
	ended.ToNS = at(30)
	dry, err := s.PutAllocations(t.Context(), []allocation.Allocation{ended}, noon, true)
	if err != nil || !slices.Equal(dry.Diff.Changed, []string{"y"}) || revision(t, s) != before {
		t.Errorf("dry run %+v: %v", dry, err)
	}
	if d := cmp.Diff(want, listed(t, s)); d != "" {
		t.Errorf("a dry run changed:\n%s", d)
	}
	// The record that is replaced stays.
	allocate(t, s, ended)
	if all := listed(t, s); len(all) != 2 || all[1].ToNS != at(30) {
		t.Errorf("ended: %+v", all)
	}
	if rows := text(t, s, "SELECT id, to_ns FROM allocation ORDER BY no"); len(rows) != 3 {
		t.Errorf("rows %v", rows)
	}
	for _, table := range []string{"allocation", "correction"} {
		if table == "correction" {
			count(t, s, nil, fleet()...)
			allocate(t, s, allocation.Allocation{ID: "z", Host: "beta", Tenant: "t3", FromNS: at(0)})
		}
		for _, query := range []string{"UPDATE " + table + " SET from_ns = from_ns", "DELETE FROM " + table} {
			if _, err := s.db.Exec(query); err == nil || !strings.Contains(err.Error(), table+"s are never") {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
	if _, err := s.db.Exec("UPDATE segment SET ops_high = ops_high + 1"); err == nil || !strings.Contains(err.Error(), "corrected segment") {
		t.Errorf("a corrected segment can be changed: %v", err)
	}
}

const segmentRows = "SELECT * FROM segment ORDER BY id"

// An allocation that arrives late: what was counted for t1 goes to t9, by hand.
func TestLateAllocation(t *testing.T) {
	dir := t.TempDir()
	s, err := openOn(t, filepath.Join(dir, "flopwatch.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, party.Customer{ID: "f", Name: "Far", Status: party.Foreign, Tenants: []measure.TenantID{"t9"}})
	d := NewDeriver(s, lines(t), atNoon)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	before := text(t, s, segmentRows)
	r := NewReader(s, "", false)
	totalsBefore := must(t, r.Check).Totals

	dry, err := s.PutAllocations(t.Context(), []allocation.Allocation{toT9}, noon, true)
	if err != nil || len(text(t, s, "SELECT * FROM correction")) != 0 {
		t.Fatal("a dry run corrects", err)
	}
	done := allocate(t, s, toT9)
	dry.Table, dry.Closed, dry.Standing = done.Table, done.Closed, done.Standing
	if d := cmp.Diff(dry, done, cmp.Comparer(func(a, b *allocation.Table) bool { return a == b })); d != "" {
		t.Errorf("the dry run told something else:\n%s", d)
	}
	d.AllocationsChanged()
	derive(t, d)
	if d := cmp.Diff(before, text(t, s, segmentRows)); d != "" {
		t.Errorf("segments were changed:\n%s", d)
	}

	check := must(t, r.Check)
	if !check.Balanced || len(check.Problems) > 0 {
		t.Errorf("check %+v", check)
	}
	// 5 s of a1 were unattributed; now they are t9's.
	want := totalsBefore
	want.Attributed, want.Unattributed = want.Attributed+secondsOf(5), 0
	want.Figure.DeviceTime += secondsOf(5)
	want.Figure.Empirical = want.Figure.Empirical.Add(compute.Bounds{Low: 5, Best: 10, High: 20})
	want.Figure.Ceiling += 5_000
	want.Segments = check.Totals.Segments
	if d := cmp.Diff(want, check.Totals); d != "" {
		t.Errorf("totals (-want +got):\n%s", d)
	}
	byTenant := map[measure.TenantID]desk.Tenant{}
	for _, tenant := range must(t, r.Tenants) {
		byTenant[tenant.ID] = tenant
	}
	// t1 has on a0 one segment of 16 s over [0, 20) with 160, 320, 480, of which
	// three quarters lie in the allocation, and 10 s at [50, 60); t2 has 4 s over
	// [10, 20), of which half. On a1 all unattributed time is in it, and half of
	// [10, 20) that nobody saw.
	got := byTenant["t9"]
	wantFigure := desk.Figure{
		Empirical:   compute.Bounds{Low: 120 + 5, Best: 240 + 10, High: 360 + 20},
		Theoretical: compute.Bounds{Low: 0, Best: 500 + 25, High: 2_000 + 10_000},
		Ceiling:     12_000 + 2_000 + 5_000 + 5_000, DeviceTime: secondsOf(12 + 2 + 5), Coverage: 19.0 / 24, Methods: []measure.MethodName{measure.Allocation, measure.GPM},
	}
	if d := cmp.Diff(wantFigure, got.Figure); d != "" || got.Devices != 2 || got.FirstNS != at(0) || got.LastNS != at(15) || got.CustomerID != "f" {
		t.Errorf("t9 %+v (-want +got):\n%s", got, d)
	}
	if one := byTenant["t1"]; one.Figure.Empirical != (compute.Bounds{Low: 1_170 - 120, Best: 1_340 - 240, High: 1_510 - 360}) || one.Figure.DeviceTime != secondsOf(36-12) {
		t.Errorf("t1 %+v", one)
	}
	if two := byTenant["t2"]; two.Figure.Theoretical != (compute.Bounds{Best: 500, High: 2_000}) || two.FirstNS != at(15) {
		t.Errorf("t2 %+v", two)
	}
	runs, err := r.Runs(t.Context(), desk.RunQuery{Tenant: "t9"})
	sum := desk.Figure{}
	for _, run := range runs {
		sum.Empirical, sum.Theoretical, sum.DeviceTime = sum.Empirical.Add(run.Figure.Empirical), sum.Theoretical.Add(run.Figure.Theoretical), sum.DeviceTime+run.Figure.DeviceTime
	}
	if err != nil || sum.Empirical != wantFigure.Empirical || sum.Theoretical != wantFigure.Theoretical || sum.DeviceTime != wantFigure.DeviceTime {
		t.Errorf("runs of t9 %+v: %v", runs, err)
	}

	// Findings: one for each tenant that the host claimed, for the customer of the allocated one.
	var claims []string
	for _, f := range findings(t, s) {
		if f.Rule == RuleClaimDiffers {
			claims = append(claims, fmt.Sprint(f.Subject, " ", f.Tenant, " ", f.CustomerID, " ", f.ForeignStatus, " ", f.Threshold == 0, " ", strings.Contains(f.Reason, `"t1"`), " ", f.SignalledNS == noon.UnixNano()))
		}
	}
	slices.Sort(claims)
	if d := cmp.Diff([]string{"host:hosta t9 f foreign true false true", "host:hosta t9 f foreign true true true"}, claims); d != "" {
		t.Error(d)
	}

	// The entries can be read, in pages.
	entries, err := r.Corrections(t.Context(), 0, 0)
	if err != nil || len(entries) != done.Corrections {
		t.Errorf("entries %+v: %v", entries, err)
	}
	last := entries[len(entries)-1]
	first := last.ID // PostgreSQL counted those of the trial too
	wantEntry := desk.Correction{ID: first, Segment: last.Segment, Host: "hosta", HostName: "alpha", Device: "a0", Workload: job, Method: measure.GPM, FromNS: at(0), ToNS: at(15),
		StateBefore: measure.Attributed, TenantBefore: "t1", StateAfter: measure.Attributed, TenantAfter: "t9", Duration: 12 * time.Second,
		Operations: compute.Bounds{Low: 120, Best: 240, High: 360}, Ceiling: 12_000, EnergyMJ: -1, RecordedNS: noon.UnixNano()}
	if d := cmp.Diff(wantEntry, last); d != "" {
		t.Error(d)
	}
	if one, err := r.Corrections(t.Context(), first+2, 1); err != nil || len(one) != 1 || one[0].ID != first+1 || first < 1 {
		t.Errorf("a page: %+v: %v", one, err)
	}

	// Again it adds nothing, also after a restart; and counting goes on.
	corrections := text(t, s, "SELECT * FROM correction")
	told := len(findings(t, s))
	if again := allocate(t, s, toT9); again.Corrections != 0 || again.Table != nil {
		t.Errorf("again: %+v", again)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	r = NewReader(s, "", false)
	if again := allocate(t, s, toT9); again.Corrections != 0 || len(findings(t, s)) != told {
		t.Errorf("again after a restart: %+v", again)
	}
	book, err := s.LoadLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table, err := s.LoadAllocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	book.SetAllocations(table)
	if err := book.Apply(reports("hosta", "alpha", 3, nil,
		window("a1", 20, 30, entry(measure.Unobserved, "t1", job, measure.NoMethod, 10, compute.Bounds{Best: 50, High: 20_000}, 10_000)))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}); err != nil {
		t.Fatal(err)
	}
	if check := must(t, r.Check); !check.Balanced {
		t.Errorf("after going on: %v", check.Problems)
	}
	if d := cmp.Diff(corrections, text(t, s, "SELECT * FROM correction")); d != "" {
		t.Errorf("corrections changed:\n%s", d)
	}

	// Withdrawn, everything is as the host claims, and nothing was taken away.
	back := toT9
	back.ToNS = back.FromNS
	if done := allocate(t, s, back); done.Corrections != len(corrections) {
		t.Errorf("%d corrections back, %d there", done.Corrections, len(corrections))
	}
	if len(text(t, s, "SELECT * FROM correction")) != 2*len(corrections) {
		t.Error("corrections are not added")
	}
	after := must(t, r.Check)
	if !after.Balanced || after.Totals.Attributed != totalsBefore.Attributed || after.Totals.Figure.Empirical != totalsBefore.Figure.Empirical {
		t.Errorf("withdrawn: %+v", after)
	}
	for _, tenant := range must(t, r.Tenants) {
		if tenant.ID == "t9" && tenant.Figure.DeviceTime != 0 {
			t.Errorf("t9 still has %+v", tenant)
		}
	}
}

// Where a host did the same in every second, an allocation that comes late gives
// what one gives that came in time, to the last unit.
func TestLateIsAsEarly(t *testing.T) {
	batch := reports("hosta", "alpha", 1, []ledger.Device{gpu("a0", "H100")})
	for i := range 6 {
		batch.Windows = append(batch.Windows, window("a0", 10*i, 10*i+10, entry(measure.Attributed, "t1", job, measure.GPM, 10, compute.Bounds{Low: 100, Best: 200, High: 300}, 10_000)))
	}
	all := []allocation.Allocation{
		{ID: "1", Host: "alpha", Tenant: "t2", FromNS: at(7), ToNS: at(33)}, {ID: "2", Host: "alpha", Device: "a0", Tenant: "t3", FromNS: at(20), ToNS: at(40)},
		{ID: "3", Host: "alpha", Device: "a0", Tenant: "t4", FromNS: at(38), ToNS: at(45)},
	}
	const figures = `SELECT t.id, c.state, sum(duration_ns), sum(ops_low), sum(ops_best), sum(ops_high), sum(ceiling) FROM counted c JOIN tenant t ON t.no = c.tenant
		GROUP BY t.id, c.state HAVING sum(duration_ns) > 0 ORDER BY t.id, c.state`
	early, late, stepwise := open(t, t.TempDir()), open(t, t.TempDir()), open(t, t.TempDir())
	book := ledger.New()
	book.SetAllocations(allocation.NewTable(all))
	if err := book.Apply(batch); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}); err != nil {
		t.Fatal(err)
	}
	count(t, late, nil, batch)
	allocate(t, late, all...)
	count(t, stepwise, nil, batch)
	for _, a := range []allocation.Allocation{all[2], all[0], all[1]} {
		allocate(t, stepwise, a)
	}
	want := text(t, early, figures)
	if d := cmp.Diff(want, text(t, late, figures)); d != "" || len(want) != 5 {
		t.Errorf("late (-early +late):\n%s", d)
	}
	if d := cmp.Diff(want, text(t, stepwise, figures)); d != "" {
		t.Errorf("one by one (-early +one by one):\n%s", d)
	}
	rules := func(s *Store) map[string]bool {
		found := map[string]bool{}
		for _, f := range findings(t, s) {
			found[f.ID+" "+f.Rule] = true
		}
		return found
	}
	if d := cmp.Diff(rules(early), rules(late)); d != "" || len(rules(early)) != 4 {
		t.Errorf("findings (-early +late):\n%s", d)
	}
}

// Invariant I1 through corrections: whatever is allocated late, in whatever
// order and over restarts, the sums are those of the segments, every span
// balances, the entries lead to what is counted, and segments are not touched.
func TestAnyCorrectionBalances(t *testing.T) {
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		if run++; run > 25 {
			return // each opens a database
		}
		path := filepath.Join(dir, fmt.Sprint(run), "flopwatch.db")
		s, err := openOn(t, path, Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				rt.Error(err)
			}
		}()
		steps := ledgertest.History(rapid.IntRange(4, 40).Draw(rt, "windows"), func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") })
		flip := rapid.Bool()
		book := ledger.New()
		r := NewReader(s, "", false)
		const sums = "SELECT device, sum(duration_ns), sum(ops_low), sum(ops_best), sum(ops_high), sum(ops_float), sum(ceiling) FROM %s GROUP BY device ORDER BY device"
		held := map[int64]string{}
		for _, b := range ledgertest.Batches(steps, func() bool { return flip.Draw(rt, "cut") }) {
			if err := book.Apply(b); err != nil {
				rt.Fatal(err)
			}
			if !flip.Draw(rt, "checkpoint") {
				continue
			}
			if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}); err != nil {
				rt.Fatal(err)
			}
			if !flip.Draw(rt, "allocate") {
				continue
			}
			a := someAllocation(rt, steps)
			done, err := s.PutAllocations(t.Context(), []allocation.Allocation{a}, noon, false)
			if err != nil {
				rt.Fatal(err)
			}
			if done.Table != nil {
				book.SetAllocations(done.Table)
				book.Close(done.Closed)
			}
			if flip.Draw(rt, "restart") {
				if book, err = s.LoadLedger(t.Context()); err != nil {
					rt.Fatal(err)
				}
				table, err := s.LoadAllocations(t.Context())
				if err != nil {
					rt.Fatal(err)
				}
				book.SetAllocations(table)
			}
			for _, closed := range done.Closed {
				held[closed.ID] = ""
			}
			for id, was := range held {
				now := strings.Join(text(t, s, fmt.Sprintf("SELECT * FROM segment WHERE id = %d", id)), "")
				if was != "" && was != now {
					rt.Fatalf("corrected segment %s became %s", was, now)
				}
				held[id] = now
			}
		}
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}); err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(text(t, s, fmt.Sprintf(sums, "segment")), text(t, s, fmt.Sprintf(sums, "counted"))); d != "" {
			rt.Fatalf("sums (-segments +counted):\n%s", d)
		}
		check, err := r.Check(t.Context())
		if err != nil || !check.Balanced {
			rt.Fatalf("check %+v: %v", check, err)
		}
		at := rapid.SampledFrom(steps)
		from, to := at.Draw(rt, "from").Window.StartNS+1, at.Draw(rt, "to").Window.EndNS-1
		if from < to {
			span, err := r.Totals(t.Context(), from, to)
			if err != nil || span.Attributed+span.Idle+span.Unattributed+span.Unobserved != span.Elapsed {
				rt.Fatalf("span %+v: %v", span, err)
			}
		}
		checkEntries(t, rt, s)
	})
}

func someAllocation(t *rapid.T, steps []ledgertest.Step) allocation.Allocation {
	at := rapid.SampledFrom(steps)
	from, to := at.Draw(t, "from").Window.StartNS+int64(rapid.IntRange(-1, int(time.Second)).Draw(t, "off")), at.Draw(t, "to").Window.EndNS
	a := allocation.Allocation{
		ID: fmt.Sprint("a", rapid.IntRange(0, 3).Draw(t, "id")), Host: fmt.Sprint("host", rapid.IntRange(0, 2).Draw(t, "host")),
		Tenant: measure.TenantID(fmt.Sprint("tenant-", rapid.IntRange(0, 3).Draw(t, "tenant"))), FromNS: from,
	}
	if to > from && rapid.Bool().Draw(t, "ends") {
		a.ToNS = to
	}
	if rapid.Bool().Draw(t, "job") {
		a.WorkloadKind, a.WorkloadID = measure.KindSlurmJob, fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "number"))
		if rapid.Bool().Draw(t, "everywhere") {
			a.Host = ""
		}
	}
	return a
}

// checkEntries adds the correcting entries to the segments and holds the result
// against the pieces.
func checkEntries(t *testing.T, rt *rapid.T, s *Store) {
	const columns = "sum(duration_ns), sum(ops_low), sum(ops_best), sum(ops_high), sum(ops_float), sum(ceiling)"
	const before = "-duration_ns AS duration_ns, -ops_low AS ops_low, -ops_best AS ops_best, -ops_high AS ops_high, -ops_float AS ops_float, -ceiling AS ceiling"
	const after = "duration_ns, ops_low, ops_best, ops_high, ops_float, ceiling"
	entries := text(t, s, "SELECT segment, state, tenant, "+columns+` FROM (
		SELECT id AS segment, state, tenant, `+after+` FROM segment WHERE id IN (SELECT segment FROM piece) UNION ALL
		SELECT segment, state_before, tenant_before, `+before+` FROM correction UNION ALL
		SELECT segment, state_after, tenant_after, `+after+` FROM correction) AS parts GROUP BY 1, 2, 3 HAVING sum(duration_ns) <> 0 OR sum(ops_high) <> 0 ORDER BY 1, 2, 3`)
	pieces := text(t, s, "SELECT segment, state, tenant, "+columns+" FROM piece GROUP BY 1, 2, 3 HAVING sum(duration_ns) <> 0 OR sum(ops_high) <> 0 ORDER BY 1, 2, 3")
	if d := cmp.Diff(pieces, entries); d != "" {
		rt.Fatalf("segments and entries do not make the pieces (-pieces +entries):\n%s", d)
	}
}

// A checkpoint opens a finding for what the ledger tells, once, and not without
// bound.
func TestDifferencesAreFindings(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, party.Customer{ID: "u", Name: "Near", Status: party.US, Tenants: []measure.TenantID{"right"}})
	told := func(claimed ...string) (out []ledger.Difference) {
		for _, c := range claimed {
			out = append(out, ledger.Difference{Host: "hosta", HostName: "al\u202epha", Claimed: measure.TenantID(c), Allocated: []measure.TenantID{"right"},
				Operations: compute.Exactly(7), Span: allocation.Span{FromNS: at(0), ToNS: at(10)}})
		}
		return out
	}
	conflict := ledger.Difference{Host: "hosta", HostName: "alpha", Allocated: []measure.TenantID{"a", "b"}, Span: allocation.Span{FromNS: at(0), ToNS: at(10)}}
	for range 2 {
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: ledger.Changes{Differences: append(told("wrong"), conflict)}}); err != nil {
			t.Fatal(err)
		}
	}
	all := findings(t, s)
	slices.SortFunc(all, func(a, b desk.Finding) int { return strings.Compare(a.Rule, b.Rule) })
	if len(all) != 2 {
		t.Fatalf("findings %+v", all)
	}
	want := []desk.Finding{
		{Rule: RuleConflict, Pack: "allocations", PackStatus: "internal", Level: "allocations conflict", Severity: "warning", Subject: "host:hosta", ForeignStatus: "undetermined",
			Reason: `Allocations of equal rank give time of host "alpha" to tenants ["a" "b"] at once; it stays unattributed; first seen from 2023-11-14T22:13:20Z to 2023-11-14T22:13:30Z`},
		{Rule: RuleClaimDiffers, Pack: "allocations", PackStatus: "internal", Level: "claim differs", Severity: "warning", Subject: "host:hosta", ForeignStatus: "us",
			Tenant: "right", CustomerID: "u", CustomerName: "Near", Operations: compute.Exactly(7),
			Reason: `Host "al\u202epha" claims time for tenant "wrong" that is allocated to tenant "right"; it is counted as allocated; first seen from 2023-11-14T22:13:20Z to 2023-11-14T22:13:30Z`},
	}
	for i := range want {
		want[i].ID, want[i].OccurredNS, want[i].SignalledNS, want[i].KnownNS = all[i].ID, at(10), noon.UnixNano(), noon.UnixNano()
		if !strings.HasPrefix(all[i].ID, "fnd_") || len(all[i].ID) != 24 {
			t.Errorf("id %q", all[i].ID)
		}
	}
	if d := cmp.Diff(want, all); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprint("invented-", i))
	}
	if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: ledger.Changes{Differences: told(many...)}}); err != nil {
		t.Fatal(err)
	}
	if n := len(findings(t, s)); n != maxClaims+1 {
		t.Errorf("%d findings, want %d", n, maxClaims+1)
	}
}

// Pieces that are not what their segment holds are told.
func TestCheckHoldsPiecesAgainstSegments(t *testing.T) {
	for name, tamper := range map[string]string{
		"operations": "UPDATE piece SET ops_high = ops_high + 1 WHERE rowid IN (SELECT 1)",
		"span":       "UPDATE piece SET to_ns = to_ns - 1 WHERE no = (SELECT max(no) FROM piece)",
		"one less":   "DELETE FROM piece WHERE no = 1",
	} {
		t.Run(name, func(t *testing.T) {
			s, r := counted(t)
			allocate(t, s, toT9)
			tamper = strings.Replace(tamper, "rowid IN (SELECT 1)", "no = 0 AND segment = (SELECT min(segment) FROM piece)", 1)
			if _, err := s.db.Exec(tamper); err != nil {
				t.Fatal(err)
			}
			if got := must(t, r.Check); got.Balanced || !slices.ContainsFunc(got.Problems, func(p string) bool { return strings.Contains(p, "pieces") }) {
				t.Errorf("check %+v", got)
			}
		})
	}
}

// The corrections of a partition follow an allocation of its whole device.
func TestAllocationOfAWholeDevice(t *testing.T) {
	s := open(t, t.TempDir())
	mig := gpu("MIG-1", "H100")
	mig.Parent = "a0"
	count(t, s, nil, reports("hosta", "alpha", 1, []ledger.Device{mig},
		window("MIG-1", 0, 10, entry(measure.Attributed, "t1", job, measure.GPM, 10, compute.Exactly(100), 10_000))))
	if done := allocate(t, s, allocation.Allocation{ID: "x", Host: "alpha", Device: "a0", Tenant: "t9", FromNS: at(5)}); done.Corrections != 1 || done.Corrected != secondsOf(5) {
		t.Errorf("amendment %+v", done)
	}
	want := []string{"t1 5000000000 50 ", "t9 5000000000 50 "}
	if d := cmp.Diff(want, text(t, s, "SELECT t.id, sum(duration_ns), sum(ops_best) FROM counted c JOIN tenant t ON t.no = c.tenant GROUP BY t.id ORDER BY t.id")); d != "" {
		t.Error(d)
	}
}

// More jobs than one query names are corrected all the same.
func TestManyJobs(t *testing.T) {
	s := open(t, t.TempDir())
	b := reports("hosta", "alpha", 1, []ledger.Device{gpu("a0", "H100")})
	var all []allocation.Allocation
	for i := range 3 * maxJobs {
		w := measure.Workload{Kind: measure.KindSlurmJob, ID: fmt.Sprint(i)}
		b.Windows = append(b.Windows, window("a0", 10*i, 10*i+10, entry(measure.Attributed, "t1", w, measure.GPM, 10, compute.Exactly(100), 10_000)))
		all = append(all, allocation.Allocation{ID: fmt.Sprint("j", i), WorkloadKind: w.Kind, WorkloadID: w.ID, Tenant: "t2", FromNS: at(0)})
	}
	count(t, s, nil, b)
	for _, part := range [][]allocation.Allocation{all[:1], all[1 : 1+maxJobs], all[1+maxJobs:]} {
		if done := allocate(t, s, part...); done.Corrections != len(part) {
			t.Errorf("%d corrections of %d", done.Corrections, len(part))
		}
	}
	if got := text(t, s, "SELECT DISTINCT t.id FROM counted c JOIN tenant t ON t.no = c.tenant"); !slices.Equal(got, []string{"t2 "}) {
		t.Errorf("owners %v", got)
	}
}
