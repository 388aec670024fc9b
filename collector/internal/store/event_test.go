package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func eventsOf(t testing.TB, r *Reader, filter desk.EventFilter) []desk.Event {
	t.Helper()
	return must(t, func(ctx context.Context) ([]desk.Event, error) { return r.Events(ctx, filter) })
}

// eventful is the fleet with events: one of the host, one of a device that has
// no account, one that claims to be of 2262 and one of which no time is known.
func eventful() []*ledger.Batch {
	all := fleet()
	all[0].Events = []measure.Event{
		{TimeNS: at(3), Kind: measure.EventDriver, Detail: "590.10 after 580.65"},
		{TimeNS: 1<<63 - 1, Device: "a0", Kind: measure.EventXid, Code: 79},
	}
	all[1].Events = []measure.Event{{TimeNS: at(55), Device: "gone", Kind: measure.EventLost}}
	all[2].Events = []measure.Event{{Device: "b0", Kind: "of a later agent", Code: -1, Detail: "<what>"}}
	return all
}

func TestEvents(t *testing.T) {
	s := open(t, t.TempDir())
	count(t, s, nil, eventful()...)
	r := NewReader(s, "", false)
	want := []desk.Event{
		{ID: 4, Host: "hostb", HostName: "beta", Device: "b0", Kind: "of a later agent", Code: -1, Detail: "<what>"},
		{ID: 3, Host: "hosta", HostName: "alpha", Device: "gone", TimeNS: at(55), Kind: measure.EventLost},
		{ID: 2, Host: "hosta", HostName: "alpha", Device: "a0", TimeNS: 1<<63 - 1, Kind: measure.EventXid, Code: 79},
		{ID: 1, Host: "hosta", HostName: "alpha", TimeNS: at(3), Kind: measure.EventDriver, Detail: "590.10 after 580.65"},
	}
	for name, c := range map[string]struct {
		filter desk.EventFilter
		want   []desk.Event
	}{
		"all":                   {desk.EventFilter{}, want},
		"newest":                {desk.EventFilter{Limit: 2}, want[:2]},
		"after the second":      {desk.EventFilter{AfterID: 3, Limit: 1}, want[2:3]},
		"after the last":        {desk.EventFilter{AfterID: 1}, nil},
		"of a host":             {desk.EventFilter{Host: "hosta"}, want[1:]},
		"of a host, later page": {desk.EventFilter{Host: "hosta", AfterID: 3, Limit: 5}, want[2:]},
		"of a kind":             {desk.EventFilter{Kind: "xid"}, want[2:3]},
		"of both":               {desk.EventFilter{Host: "hosta", Kind: "device_lost"}, want[1:2]},
		"of neither":            {desk.EventFilter{Host: "hostb", Kind: "device_lost"}, nil},
		"no such host":          {desk.EventFilter{Host: "' OR true --"}, nil},
		"no such kind":          {desk.EventFilter{Kind: "%"}, nil},
	} {
		if d := cmp.Diff(c.want, eventsOf(t, r, c.filter), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// Pages follow one another without a hole or a repetition while more comes in,
// and an answer has its end.
func TestEventsArePaged(t *testing.T) {
	s := open(t, t.TempDir())
	const n = desk.MaxEvents + 50
	first := reports("h", "h", 1, nil)
	for i := range n {
		first.Events = append(first.Events, measure.Event{TimeNS: at(i % 7), Kind: measure.EventXid, Code: int64(i)})
	}
	count(t, s, nil, first)
	r := NewReader(s, "", false)
	if got := len(eventsOf(t, r, desk.EventFilter{})); got != desk.MaxEvents {
		t.Errorf("%d events in one answer, want %d", got, desk.MaxEvents)
	}
	want, after := int64(n-1), int64(0)
	for seq := uint64(2); ; seq++ {
		page := eventsOf(t, r, desk.EventFilter{Host: "h", AfterID: after, Limit: 200})
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.Code != want {
				t.Fatalf("event %d, want %d", e.Code, want)
			}
			want, after = want-1, int64(e.ID)
		}
		more := reports("h", "h", seq, nil)
		more.Events = []measure.Event{{Kind: measure.EventBack}}
		count(t, s, nil, more)
	}
	if want != -1 {
		t.Errorf("%d events were left out", want+1)
	}
}

// Whatever is asked, SQLite neither sorts nor reads what it does not give.
func TestEventsAreFoundByIndex(t *testing.T) {
	s := open(t, t.TempDir())
	for name, c := range map[string]struct {
		filter desk.EventFilter
		by     string
	}{
		"all":         {desk.EventFilter{}, "SCAN e"}, // from the newest until the limit
		"page":        {desk.EventFilter{AfterID: 9}, "SEARCH e USING INTEGER PRIMARY KEY"},
		"host":        {desk.EventFilter{Host: "h"}, "SEARCH e USING INDEX event_host"},
		"page of it":  {desk.EventFilter{Host: "h", AfterID: 9}, "SEARCH e USING INDEX event_host"},
		"kind":        {desk.EventFilter{Kind: "k"}, "SEARCH e USING INDEX event_kind"},
		"page of one": {desk.EventFilter{Kind: "k", AfterID: 9}, "SEARCH e USING INDEX event_kind"},
		"both":        {desk.EventFilter{Host: "h", Kind: "k", AfterID: 9}, "SEARCH e USING INDEX event_"},
	} {
		query, args := eventQuery(c.filter)
		if storetest.Postgres() {
			// Of several months the newest are merged, not sorted.
			if err := s.MakeMonthsAhead(t.Context(), noon); err != nil {
				t.Fatal(err)
			}
			// With few rows it would rather read them all.
			tx, err := s.read.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"); err != nil {
				t.Fatal(err)
			}
			index := map[string]string{"all": "pkey", "page": "pkey", "host": "host_id_idx", "page of it": "host_id_idx", "kind": "kind_id_idx", "page of one": "kind_id_idx", "both": ""}[name]
			plan := postgresPlan(t, tx, query, args...)
			if !strings.Contains(plan, "Merge Append") || !strings.Contains(plan, "using event_2026_03_"+index) || !strings.Contains(plan, "using event_rest_"+index) || strings.Contains(plan, "Sort  (") {
				t.Errorf("%s: %s", name, plan)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var plan []string
		err := each(t.Context(), s.read, func(rows *sql.Rows) error {
			var id, parent, unused int
			var step string
			err := rows.Scan(&id, &parent, &unused, &step)
			plan = append(plan, step)
			return err
		}, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "; "); !strings.HasPrefix(text, c.by) || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// views are all that the desk shows of figures, and what a restart goes on from.
type views struct {
	Status    desk.Status
	Tenants   []desk.Tenant
	Customers []desk.Customer
	Runs      []desk.Run
	Totals    desk.Totals
	Coverage  []desk.Coverage
	Hosts     []desk.Host
	Findings  []desk.Finding
	Check     desk.Check
	Positions map[string]ledger.Position
}

func viewsOf(t *testing.T, s *Store) views {
	t.Helper()
	r := NewReader(s, "", false)
	v := views{
		Status: must(t, r.Status), Tenants: must(t, r.Tenants), Customers: must(t, r.Customers), Coverage: must(t, r.Coverage),
		Hosts: must(t, r.Hosts), Findings: findings(t, s), Check: must(t, r.Check), Positions: map[string]ledger.Position{},
	}
	v.Runs = must(t, func(ctx context.Context) ([]desk.Run, error) { return r.Runs(ctx, desk.RunQuery{}) })
	v.Totals = must(t, func(ctx context.Context) (desk.Totals, error) { return r.Totals(ctx, 0, 0) })
	book, err := s.LoadLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range v.Hosts {
		v.Positions[h.ID] = book.Position(ledger.HostID(h.ID))
	}
	return v
}

// Whatever hosts report beside figures, every figure is what it is without.
func TestEventsChangeNoFigure(t *testing.T) {
	dir, run := t.TempDir(), 0
	text := rapid.StringN(0, 40, 256)
	rapid.Check(t, func(rt *rapid.T) {
		if run++; run > 20 {
			return // each opens two databases
		}
		intn := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") }
		steps := ledgertest.History(rapid.IntRange(1, 30).Draw(rt, "windows"), intn)
		cuts := make([]bool, len(steps))
		for i := range cuts {
			cuts[i] = rapid.Bool().Draw(rt, "cut")
		}
		told := 0
		keep := func(name string, events bool) views {
			s, err := openOn(t, filepath.Join(dir, fmt.Sprint(run, name), "flopwatch.db"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			next := 0
			batches := ledgertest.Batches(steps, func() bool { next++; return cuts[next-1] })
			for _, b := range batches {
				for n := 0; events && n < intn(4); n++ {
					b.Events = append(b.Events, measure.Event{
						TimeNS: rapid.Int64Min(0).Draw(rt, "time"), Device: rapid.SampledFrom([]measure.DeviceID{"", "GPU-0", "GPU-none"}).Draw(rt, "device"),
						Kind: measure.EventKind(text.Draw(rt, "kind")), Code: rapid.Int64().Draw(rt, "code"), Detail: text.Draw(rt, "detail"),
					})
					told++
				}
			}
			d := NewDeriver(s, lines(t), atNoon)
			count(t, s, []Follower{d}, batches...)
			derive(t, d)
			if events {
				if read := len(eventsOf(t, NewReader(s, "", false), desk.EventFilter{})); read != told {
					rt.Errorf("%d events read, %d told", read, told)
				}
			}
			return viewsOf(t, s)
		}
		if d := cmp.Diff(keep("without", false), keep("with", true)); d != "" {
			rt.Errorf("events changed a figure (-without +with):\n%s", d)
		}
	})
}
