package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// allocations makes up a table over the time of the history.
func allocations(t *rapid.T, steps []ledgertest.Step) *allocation.Table {
	first, last := steps[0].Window.StartNS, steps[0].Window.EndNS
	for _, s := range steps {
		first, last = min(first, s.Window.StartNS), max(last, s.Window.EndNS)
	}
	// Most cuts lie where windows are.
	instant := rapid.Custom(func(t *rapid.T) int64 {
		w := rapid.SampledFrom(steps).Draw(t, "step").Window
		return rapid.SampledFrom([]int64{first - 1, w.StartNS, w.StartNS + (w.EndNS-w.StartNS)/3, w.EndNS - 1, w.EndNS, last}).Draw(t, "at")
	})
	var all []allocation.Allocation
	for i := range rapid.IntRange(0, 6).Draw(t, "allocations") {
		a := allocation.Allocation{
			ID: fmt.Sprint(i), Host: fmt.Sprint("host", rapid.IntRange(0, 2).Draw(t, "host")), Tenant: measure.TenantID(fmt.Sprint("tenant-", rapid.IntRange(0, 3).Draw(t, "tenant"))),
			FromNS: instant.Draw(t, "from"), ToNS: instant.Draw(t, "to"),
		}
		if rapid.Bool().Draw(t, "device") {
			a.Device = "GPU-0"
		}
		if rapid.Bool().Draw(t, "job") {
			a.WorkloadKind, a.WorkloadID = measure.KindSlurmJob, "1"
		}
		all = append(all, a)
	}
	return allocation.NewTable(all)
}

func counted(t *rapid.T, steps []ledgertest.Step, table *allocation.Table) *ledgertest.Rows {
	book := ledger.New()
	book.SetAllocations(table)
	for _, b := range ledgertest.Batches(steps, func() bool { return false }) {
		if err := book.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	rows := ledgertest.NewRows()
	rows.Write(book.Take())
	return rows
}

func history(t *rapid.T) []ledgertest.Step {
	return ledgertest.History(rapid.IntRange(1, 40).Draw(t, "windows"), func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
}

// sums of all segments, and per device the time in each state that allocations
// do not touch.
type sums struct {
	ledger.Amounts
	Idle, Unobserved map[int64]int64
}

func sum(rows *ledgertest.Rows) sums {
	s := sums{Idle: map[int64]int64{}, Unobserved: map[int64]int64{}}
	for _, g := range rows.Segments {
		s.DurationNS += g.DurationNS
		s.Operations, s.Ceiling, s.FloatTensor = s.Operations.Add(g.Operations), s.Ceiling.Add(g.Ceiling), s.FloatTensor.Add(g.FloatTensor)
		s.EnergyMJ += max(g.EnergyMJ, 0)
		switch g.Key.State {
		case measure.Idle:
			s.Idle[g.DeviceNo] += g.DurationNS
		case measure.Unobserved:
			s.Unobserved[g.DeviceNo] += g.DurationNS
		}
	}
	return s
}

// Invariant I1 with allocations: the ledger balances, nothing is lost or made up
// by cutting, and every stretch is counted for whom the table names for all of it.
func TestAllocationsMoveNothingButOwners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := history(t)
		table := allocations(t, steps)
		without, with := counted(t, steps, nil), counted(t, steps, table)
		if p := ledger.Check(slices.Collect(maps.Values(with.Accounts)), maps.Values(with.Segments)); p != nil {
			t.Fatal(p)
		}
		if d := cmp.Diff(sum(without), sum(with)); d != "" {
			t.Fatalf("sums without and with allocations:\n%s", d)
		}
		if d := cmp.Diff(without.Accounts, with.Accounts); d != "" {
			t.Fatalf("accounts without and with allocations:\n%s", d)
		}
		for _, g := range with.Segments {
			if g.DurationNS > g.EndNS-g.StartNS {
				t.Fatalf("segment %+v is longer than its span", g)
			}
			claim := ledger.Claim{State: g.Key.State, Tenant: g.Key.Tenant}
			if g.Key.Claim.State != 0 {
				claim = g.Key.Claim
			}
			place := allocation.Place{HostID: string(g.Key.Host), HostName: string(g.Key.Host), Device: g.Key.Device, Workload: g.Key.Workload}
			for _, answer := range table.Resolve(place, g.StartNS, max(g.EndNS, g.StartNS+1)) {
				if want := plainOwner(claim, answer.Tenants); want.State != g.Key.State || want.Tenant != g.Key.Tenant {
					t.Fatalf("segment %+v is counted for another than %+v by %+v", g, want, answer)
				}
			}
		}
	})
}

func plainOwner(claim ledger.Claim, tenants []measure.TenantID) ledger.Claim {
	if len(tenants) == 0 || claim.State == measure.Idle {
		return claim
	}
	out := ledger.Claim{State: claim.State}
	if len(tenants) == 1 {
		out.Tenant = tenants[0]
	}
	if claim.State != measure.Unobserved {
		out.State = measure.Unattributed
		if out.Tenant != "" {
			out.State = measure.Attributed
		}
	}
	return out
}

// Corrections conserve every sum, leave each piece with whom the table names,
// add nothing when made again, and can be taken back.
func TestCorrect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := history(t)
		rows := counted(t, steps, allocations(t, steps))
		always := []allocation.Span{{FromNS: 0, ToNS: 1 << 62}}
		for _, s := range rows.Segments {
			host := &ledger.Host{ID: s.Key.Host, Name: string(s.Key.Host)}
			var pieces []ledger.Piece
			for range 3 {
				table := allocations(t, steps)
				after, made, _ := ledger.Correct(&s, pieces, table, host, "", always)
				checkPieces(t, s, pieces, after, made)
				for _, p := range after {
					claim := ledger.Claim{State: s.Key.State, Tenant: s.Key.Tenant}
					if s.Key.Claim.State != 0 {
						claim = s.Key.Claim
					}
					place := allocation.Place{HostName: host.Name, Device: s.Key.Device, Workload: s.Key.Workload}
					for _, answer := range table.Resolve(place, p.FromNS, max(p.ToNS, p.FromNS+1)) {
						if want := plainOwner(claim, answer.Tenants); want.State != p.State || want.Tenant != p.Tenant {
							t.Fatalf("piece %+v belongs to %+v", p, want)
						}
					}
				}
				again, none, _ := ledger.Correct(&s, after, table, host, "", always)
				if d := cmp.Diff(after, again); d != "" || none != nil {
					t.Fatalf("a second time %v:\n%s", none, d)
				}
				pieces = after
			}
			// Outside of the scope nothing changes.
			if _, made, _ := ledger.Correct(&s, pieces, allocation.NewTable(nil), host, "", []allocation.Span{{FromNS: s.EndNS + 1, ToNS: 1 << 62}}); made != nil {
				t.Fatalf("corrections outside of the scope: %v", made)
			}
			back, _, _ := ledger.Correct(&s, pieces, allocation.NewTable(nil), host, "", always)
			for _, p := range back {
				claim := ledger.Claim{State: p.State, Tenant: p.Tenant}
				if s.Key.Claim.State != 0 && claim != s.Key.Claim || s.Key.Claim.State == 0 && claim != (ledger.Claim{State: s.Key.State, Tenant: s.Key.Tenant}) {
					t.Fatalf("piece %+v is not as the host claims", p)
				}
			}
		}
	})
}

// checkPieces holds pieces against their segment, and corrections against the
// pieces before and after: what leaves one owner comes to another.
func checkPieces(t *rapid.T, s ledger.Segment, before, after []ledger.Piece, made []ledger.Correction) {
	if before == nil {
		before = []ledger.Piece{{FromNS: s.StartNS, ToNS: s.EndNS, State: s.Key.State, Tenant: s.Key.Tenant,
			Amounts: ledger.Amounts{DurationNS: s.DurationNS, Operations: s.Operations, FloatTensor: s.FloatTensor, Ceiling: s.Ceiling, EnergyMJ: s.EnergyMJ}}}
	}
	at := s.StartNS
	for _, p := range after {
		if p.FromNS != at || !p.Operations.Valid() || p.DurationNS < 0 || p.DurationNS > p.ToNS-p.FromNS || p.FloatTensor > p.Operations.Best || p.Ceiling < 0 || (p.EnergyMJ < 0) != (s.EnergyMJ < 0) {
			t.Fatalf("piece %+v of segment %+v", p, s)
		}
		at = p.ToNS
	}
	if at != s.EndNS {
		t.Fatalf("pieces end at %d, segment %+v", at, s)
	}
	owners := func(pieces []ledger.Piece) map[ledger.Claim]ledger.Amounts {
		out := map[ledger.Claim]ledger.Amounts{}
		for _, p := range pieces {
			move(out, ledger.Claim{State: p.State, Tenant: p.Tenant}, p.Amounts, 1)
		}
		return out
	}
	moved := owners(before)
	for _, c := range made {
		move(moved, c.Before, c.Amounts, -1)
		move(moved, ledger.Claim{State: c.State, Tenant: c.Tenant}, c.Amounts, 1)
	}
	maps.DeleteFunc(moved, func(_ ledger.Claim, a ledger.Amounts) bool { return a == ledger.Amounts{} })
	want := owners(after)
	maps.DeleteFunc(want, func(_ ledger.Claim, a ledger.Amounts) bool { return a == ledger.Amounts{} })
	if d := cmp.Diff(want, moved); d != "" {
		t.Fatalf("the corrections %+v do not lead from %+v to %+v:\n%s", made, before, after, d)
	}
}

func move(to map[ledger.Claim]ledger.Amounts, who ledger.Claim, a ledger.Amounts, sign int64) {
	n := compute.Operations(sign)
	have := to[who]
	have.DurationNS += sign * a.DurationNS
	have.Operations.Low += n * a.Operations.Low
	have.Operations.Best += n * a.Operations.Best
	have.Operations.High += n * a.Operations.High
	have.FloatTensor += n * a.FloatTensor
	have.Ceiling += n * a.Ceiling
	have.EnergyMJ += sign * max(a.EnergyMJ, 0)
	to[who] = have
}

// What a host claims and what was allocated is told once.
func TestDifferencesAreToldOnce(t *testing.T) {
	sec := int64(time.Second)
	book := ledger.New()
	book.SetAllocations(allocation.NewTable([]allocation.Allocation{
		{ID: "1", Host: "gpu7", Tenant: "right", FromNS: 15 * sec, ToNS: 40 * sec}, {ID: "2", Host: "gpu7", Tenant: "other", FromNS: 30 * sec, ToNS: 50 * sec},
	}))
	b := &ledger.Batch{Host: "h", Name: "gpu7", Devices: []ledger.Device{ledgertest.Device("GPU-0")}}
	window := func(from int64, state measure.State, tenant measure.TenantID, best compute.Operations) measure.Window {
		return measure.Window{Device: "GPU-0", StartNS: from * sec, EndNS: (from + 10) * sec, Entries: []measure.Entry{
			{State: state, Tenant: tenant, Duration: 10 * time.Second, Operations: compute.Exactly(best), EnergyMJ: 1001}}}
	}
	b.Windows = []measure.Window{window(10, measure.Attributed, "wrong", 1001), window(20, measure.Attributed, "wrong", 7), window(30, measure.Attributed, "right", 7),
		window(40, measure.Unattributed, "", 7), window(50, measure.Attributed, "own", 7), window(70, measure.Idle, "", 0)}
	if err := book.Apply(b); err != nil {
		t.Fatal(err)
	}
	changes := book.Take()
	want := []ledger.Difference{
		{Host: "h", HostName: "gpu7", Claimed: "wrong", Allocated: []measure.TenantID{"right"}, Operations: compute.Exactly(501), Span: allocation.Span{FromNS: 15 * sec, ToNS: 20 * sec}},
		{Host: "h", HostName: "gpu7", Allocated: []measure.TenantID{"other", "right"}, Operations: compute.Exactly(7), Span: allocation.Span{FromNS: 30 * sec, ToNS: 40 * sec}},
	}
	if d := cmp.Diff(want, changes.Differences); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	type line struct {
		From, To  int64
		State     measure.State
		Tenant    measure.TenantID
		Claim     measure.TenantID
		Best      compute.Operations
		MilliJoul int64
	}
	var got []line
	for _, s := range changes.Opened {
		got = append(got, line{s.StartNS / sec, s.EndNS / sec, s.Key.State, s.Key.Tenant, s.Key.Claim.Tenant, s.Operations.Best, s.EnergyMJ})
	}
	if d := cmp.Diff([]line{
		{10, 15, measure.Attributed, "wrong", "", 500, 500}, {15, 30, measure.Attributed, "right", "wrong", 508, 1502}, {30, 40, measure.Unattributed, "", "right", 7, 1001},
		{40, 50, measure.Attributed, "other", "", 7, 1001}, {50, 60, measure.Attributed, "own", "", 7, 1001},
		{60, 70, measure.Unobserved, "", "", 205, -1}, {70, 80, measure.Idle, "", "", 0, 1001},
	}, got); d != "" {
		t.Errorf("segments (-want +got):\n%s", d)
	}
	if err := book.Apply(b); err != nil || len(book.Take().Differences) != 0 {
		t.Errorf("told again: %v", err)
	}
}

// A host that claims a new tenant in every window is told of for a while only.
func TestDifferencesAreBounded(t *testing.T) {
	sec := int64(time.Second)
	book := ledger.New()
	book.SetAllocations(allocation.NewTable([]allocation.Allocation{{ID: "1", Host: "gpu7", Tenant: "right", FromNS: 1}}))
	b := &ledger.Batch{Host: "h", Name: "gpu7", Devices: []ledger.Device{ledgertest.Device("GPU-0")}}
	for i := range int64(1000) {
		b.Windows = append(b.Windows, measure.Window{Device: "GPU-0", StartNS: (1 + i) * sec, EndNS: (2 + i) * sec, Entries: []measure.Entry{
			{State: measure.Attributed, Tenant: measure.TenantID(fmt.Sprint(i)), Duration: time.Second, EnergyMJ: -1}}})
	}
	if err := book.Apply(b); err != nil {
		t.Fatal(err)
	}
	if n := len(book.Take().Differences); n != 100 {
		t.Errorf("%d differences, want 100", n)
	}
}
