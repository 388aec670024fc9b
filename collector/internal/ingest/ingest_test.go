package ingest

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

func startBroker(t testing.TB) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Options{Dir: filepath.Join(t.TempDir(), "broker"), MaxPerHost: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

type follower func(ctx context.Context, tx *sql.Tx, c store.Commit) error

func (f follower) Follow(ctx context.Context, tx *sql.Tx, c store.Commit) error { return f(ctx, tx, c) }

func TestConfigMustBeWhole(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty config was taken")
	}
}

// A follower that fails stops ingest before anything is receipted, and the next
// run counts the same batches once.
func TestFailedCheckpointIsCountedByTheNextRun(t *testing.T) {
	b, s := startBroker(t), openStore(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := newHost("a", 2)
	receipts := make(chan *nats.Msg, 16)
	if _, err := b.Conn().ChanSubscribe(wire.ReceiptSubject(h.id), receipts); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Conn().Publish(wire.BatchSubject(h.id), h.next(t, 2)); err != nil {
			t.Fatal(err)
		}
	}
	boom := errors.New("boom")
	cfg := Config{Store: s, Conn: b.Conn(), Key: key("collector"), Collector: "c", Interval: 10 * time.Millisecond,
		Followers: []store.Follower{follower(func(context.Context, *sql.Tx, store.Commit) error { return boom })}}
	in, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Run(t.Context()); !errors.Is(err, boom) {
		t.Fatalf("error is %v, want boom", err)
	}
	if len(receipts) > 0 {
		t.Fatal("a receipt for what was not stored")
	}
	// What the broker redelivers only after a while, the host sends again.
	again := newHost("a", 2)
	for range 3 {
		if err := b.Conn().Publish(wire.BatchSubject(h.id), again.next(t, 2)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	windows := 0
	cfg.Followers = []store.Follower{follower(func(_ context.Context, _ *sql.Tx, c store.Commit) error {
		for _, a := range c.Accounts {
			windows = max(windows, int(a.Windows))
		}
		return nil
	})}
	if in, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	for seq := uint64(0); seq < 3; {
		select {
		case m := <-receipts:
			r := openReceipt(t, m.Data)
			if r.Host != h.id || r.Collector != "c" || r.Seq < seq {
				t.Errorf("receipt %+v after %d", r, seq)
			}
			seq = r.Seq
		case err := <-done:
			t.Fatalf("ingest ended: %v", err)
		case <-time.After(60 * time.Second):
			t.Fatal("no receipt")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if windows != 6 {
		t.Errorf("a device has %d windows, want 6", windows)
	}
	book, err := s.LoadLedger(t.Context())
	if err != nil || book.Position(ledger.HostID(h.id)).Seq != 3 {
		t.Errorf("position %+v: %v", book.Position(ledger.HostID(h.id)), err)
	}
}

// When the broker stops, Run says so instead of waiting for ever.
func TestBrokerGone(t *testing.T) {
	b, s := startBroker(t), openStore(t, t.TempDir())
	in, err := New(Config{Store: s, Conn: b.Conn(), Key: key("collector"), Collector: "c"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- in.Run(t.Context()) }()
	time.Sleep(50 * time.Millisecond)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "ingest") {
			t.Errorf("error is %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("ingest did not end")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkIngest feeds batches of 8 devices × 60 windows through broker,
// signatures, ledger, evidence and database. The hosts play their part of the
// contract, since the broker drops what comes faster than it writes.
func BenchmarkIngest(b *testing.B) { benchmarkIngest(b) }

// BenchmarkIngestAllocated does so with an allocation of every host and 100,000
// of others.
func BenchmarkIngestAllocated(b *testing.B) {
	var all []allocation.Allocation
	for i := range 100_000 {
		all = append(all, allocation.Allocation{ID: fmt.Sprint(i), Host: fmt.Sprint("other-", i/10), Tenant: "t", FromNS: int64(1 + i), ToNS: int64(2 + i)})
	}
	benchmarkIngest(b, append(all, allocation.Allocation{ID: "all", Host: "node", Tenant: "t", FromNS: startNS + 15*second})...)
}

func benchmarkIngest(b *testing.B, allocations ...allocation.Allocation) {
	bus := startBroker(b)
	s := openStore(b, b.TempDir())
	if _, err := s.PutAllocations(b.Context(), allocations, time.Now(), false); err != nil {
		b.Fatal(err)
	}
	receipts := make(chan *nats.Msg, 1<<16)
	senders := map[string]*sender{}
	for i := range 50 {
		h := newHost(fmt.Sprintf("bench %d", i), 8)
		var envelopes [][]byte
		for n := i; n < b.N; n += 50 {
			envelopes = append(envelopes, h.next(b, 60))
		}
		subject := wire.ReceiptSubject(h.id)
		senders[subject] = newSender(b, h, envelopes)
		if _, err := bus.Conn().ChanSubscribe(subject, receipts); err != nil {
			b.Fatal(err)
		}
	}
	in, err := New(Config{Store: s, Conn: bus.Conn(), Key: key("collector"), Collector: "c", MaxAhead: -1})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ResetTimer()
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	collector := key("collector").Public().(ed25519.PublicKey)
	size := 0
	for counted := 0; counted < b.N; {
		for _, sender := range senders {
			if err := sender.push(bus.Conn(), 40, 2*time.Second); err != nil {
				b.Fatal(err)
			}
		}
		select {
		case m := <-receipts:
			sender := senders[m.Subject]
			counted -= sender.done
			if err := sender.receipt(collector, m.Data); err != nil {
				b.Fatal(err)
			}
			counted += sender.done
			size = len(sender.envelopes[0])
		case err := <-done:
			b.Fatalf("ingest ended: %v", err)
		case <-time.After(time.Second):
		}
	}
	b.StopTimer()
	cancel()
	if err := errors.Join(<-done, s.Close()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N*480)/b.Elapsed().Seconds(), "windows/s")
	b.ReportMetric(float64(size)/480, "B/window")
}
