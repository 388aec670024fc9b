package ingest

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/ledger"
	"github.com/flopwatch/flopwatch/collector/internal/store"
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
		case <-time.After(10 * time.Second):
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
	case <-time.After(10 * time.Second):
		t.Fatal("ingest did not end")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkIngest feeds batches of 8 devices × 60 windows through broker,
// signatures, ledger, evidence and database.
func BenchmarkIngest(b *testing.B) {
	const hosts = 50
	bus := startBroker(b)
	s := openStore(b, b.TempDir())
	receipts := make(chan *nats.Msg, 1<<16)
	fleet := make([]*host, hosts)
	for i := range fleet {
		fleet[i] = newHost(b.Name()+string(rune('a'+i)), 8)
		if _, err := bus.Conn().ChanSubscribe(wire.ReceiptSubject(fleet[i].id), receipts); err != nil {
			b.Fatal(err)
		}
	}
	envelopes := make([][]byte, b.N)
	for i := range envelopes {
		envelopes[i] = fleet[i%hosts].next(b, 60)
	}
	in, err := New(Config{Store: s, Conn: bus.Conn(), Key: key("collector"), Collector: "c", MaxAhead: -1})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	for i, e := range envelopes {
		if err := bus.Conn().Publish(wire.BatchSubject(fleet[i%hosts].id), e); err != nil {
			b.Fatal(err)
		}
	}
	if err := bus.Conn().Flush(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	newest := map[string]uint64{}
	for counted := uint64(0); counted < uint64(b.N); {
		select {
		case m := <-receipts:
			r := openReceipt(b, m.Data)
			counted += r.Seq - newest[r.Host]
			newest[r.Host] = r.Seq
		case err := <-done:
			b.Fatalf("ingest ended: %v", err)
		}
	}
	b.StopTimer()
	cancel()
	if err := errors.Join(<-done, s.Close()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N*480)/b.Elapsed().Seconds(), "windows/s")
	b.ReportMetric(float64(len(envelopes[0]))/480, "B/window")
}
