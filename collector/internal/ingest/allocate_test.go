package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// live is an ingest that runs.
type live struct {
	*Ingest
	t        *testing.T
	conn     *nats.Conn
	receipts chan *nats.Msg
	stop     func()
}

func goLive(t *testing.T, conn *nats.Conn, s *store.Store, h *host) *live {
	t.Helper()
	in, err := New(Config{Store: s, Conn: conn, Key: key("collector"), Collector: "c", Interval: 10 * time.Millisecond, MaxAhead: -1})
	if err != nil {
		t.Fatal(err)
	}
	l := &live{Ingest: in, t: t, conn: conn, receipts: make(chan *nats.Msg, 64)}
	sub, err := conn.ChanSubscribe(wire.ReceiptSubject(h.id), l.receipts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	l.stop = func() {
		cancel()
		if err := errors.Join(<-done, sub.Unsubscribe()); err != nil {
			t.Error(err)
		}
	}
	return l
}

// send publishes a batch and waits until it is durable.
func (l *live) send(h *host, windows int) {
	l.t.Helper()
	if err := l.conn.Publish(wire.BatchSubject(h.id), h.next(l.t, windows)); err != nil {
		l.t.Fatal(err)
	}
	for {
		select {
		case m := <-l.receipts:
			if openReceipt(l.t, m.Data).Seq >= h.seq {
				return
			}
		case <-time.After(60 * time.Second):
			l.t.Fatal("no receipt")
		}
	}
}

func (l *live) put(all ...allocation.Allocation) store.Amendment {
	l.t.Helper()
	done, err := l.PutAllocations(l.t.Context(), all, false)
	if err != nil {
		l.t.Fatal(err)
	}
	return done
}

// rows returns the first column of what a query says of the database that belongs to a
// directory, past the store.
func rows(t *testing.T, dir, query string) []string {
	t.Helper()
	db, err := storetest.Raw(t, filepath.Join(dir, "flopwatch.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	found, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for found.Next() {
		var line string
		if err := found.Scan(&line); err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

const byTenant = `SELECT concat_ws(' ', t.id, c.state, CAST(sum(duration_ns) AS BIGINT) / 1000000, sum(ops_best)) FROM counted c JOIN tenant t ON t.no = c.tenant
	GROUP BY t.id, c.state HAVING sum(duration_ns) > 0 ORDER BY t.id, c.state`

// An allocation decides at once for what comes, gives what was counted before to
// its tenant, and both hold after a restart.
func TestAllocationsDecide(t *testing.T) {
	b, dir := startBroker(t), t.TempDir()
	s := openStore(t, dir)
	h := newHost("a", 1)
	l := goLive(t, b.Conn(), s, h)
	l.send(h, 3) // 30 s claimed for tenant-a, 400,000 a second
	at := func(sec int64) int64 { return startNS + sec*second }
	done := l.put(
		allocation.Allocation{ID: "host", Host: h.id, Tenant: "tenant-b", FromNS: at(15)},
		allocation.Allocation{ID: "job", Host: "node", WorkloadKind: measure.KindSlurmJob, WorkloadID: "4711", Tenant: "tenant-c", FromNS: at(42), ToNS: at(43)},
		allocation.Allocation{ID: "more", Host: "node", Tenant: "tenant-d", FromNS: at(55), ToNS: at(57)},
	)
	if done.Corrections != 1 || done.Corrected != 15_000 || !slices.Equal(done.Diff.New, []string{"host", "job", "more"}) {
		t.Errorf("amendment %+v", done)
	}
	l.send(h, 3)
	want := []string{
		" 3 2000 800000", // two allocations of the host differ from 55 s to 57 s
		"tenant-a 1 15000 6000000", "tenant-b 1 42000 16800000", "tenant-c 1 1000 400000",
	}
	if d := cmp.Diff(want, rows(t, dir, byTenant)); d != "" {
		t.Errorf("counted (-want +got):\n%s", d)
	}
	found := rows(t, dir, "SELECT concat_ws(' ', rule, tenant) FROM finding ORDER BY 1")
	if d := cmp.Diff([]string{"allocations_conflict ", "claim_differs tenant-b", "claim_differs tenant-c"}, found); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	// The claim is kept beside what is counted.
	if got := rows(t, dir, "SELECT DISTINCT t.id FROM segment s JOIN tenant t ON t.no = s.claim WHERE s.claim_state = 1"); !slices.Equal(got, []string{"tenant-a"}) {
		t.Errorf("claims %v", got)
	}

	l.stop()
	l = goLive(t, b.Conn(), s, h)
	if again := l.put(allocation.Allocation{ID: "host", Host: h.id, Tenant: "tenant-b", FromNS: at(15)}); again.Corrections != 0 || again.Table != nil {
		t.Errorf("again: %+v", again)
	}
	l.send(h, 1)
	want[2] = "tenant-b 1 52000 20800000"
	if d := cmp.Diff(want, rows(t, dir, byTenant)); d != "" {
		t.Errorf("after a restart (-want +got):\n%s", d)
	}
	dry, err := l.PutAllocations(t.Context(), []allocation.Allocation{{ID: "dry", Host: h.id, Device: h.rows[0].ID, Tenant: "tenant-e", FromNS: at(0)}}, true)
	if err != nil || dry.Corrections == 0 {
		t.Errorf("dry run %+v: %v", dry, err)
	}
	l.send(h, 1)
	want[2] = "tenant-b 1 62000 24800000"
	if d := cmp.Diff(want, rows(t, dir, byTenant)); d != "" {
		t.Errorf("after a dry run (-want +got):\n%s", d)
	}
	check, err := store.NewReader(s, "", false).Check(t.Context())
	if err != nil || !check.Balanced {
		t.Errorf("check %+v: %v", check, err)
	}
	l.stop()
	if _, err := l.PutAllocations(t.Context(), nil, false); !errors.Is(err, errEnded) {
		t.Errorf("after its end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPutAllocationsWaitsNoLongerThanAsked(t *testing.T) {
	b, s := startBroker(t), openStore(t, t.TempDir())
	in, err := New(Config{Store: s, Conn: b.Conn(), Key: key("collector"), Collector: "c"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := in.PutAllocations(ctx, nil, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before Run: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Allocations are recorded while batches pour in: each window is counted before
// and corrected, or counted by the new table, and nothing is left between. Then
// all that was counted belongs to whom the last table names.
func TestAllocationsBetweenBatches(t *testing.T) {
	b, dir := startBroker(t), t.TempDir()
	s := openStore(t, dir)
	h := newHost("a", 2)
	l := goLive(t, b.Conn(), s, h)
	var sent [][]byte
	publish := func(envelopes ...[]byte) {
		for _, e := range envelopes {
			if err := b.Conn().Publish(wire.BatchSubject(h.id), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 40 {
		for range 3 {
			sent = append(sent, h.next(t, 1))
			publish(sent[len(sent)-1])
		}
		if i == 20 {
			l.stop()
			l = goLive(t, b.Conn(), s, h)
		}
		l.put(allocation.Allocation{ID: "x", Host: h.id, Tenant: measure.TenantID(fmt.Sprint("t", i%7)), FromNS: 1})
	}
	publish(sent...) // as a host does that got no receipt
	l.send(h, 1)
	want := []string{fmt.Sprintf("t%d 1 %d", 39%7, 2*121*10_000)}
	got := rows(t, dir, strings.Replace(byTenant, ", sum(ops_best)", "", 1))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("counted (-want +got):\n%s", d)
	}
	check, err := store.NewReader(s, "", false).Check(t.Context())
	if err != nil || !check.Balanced {
		t.Errorf("check %+v: %v", check, err)
	}
	l.stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
