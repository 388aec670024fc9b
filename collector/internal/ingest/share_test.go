package ingest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// deliver plays the agents until all is receipted. turn is called all along.
func deliver(t *testing.T, conn *nats.Conn, senders []*sender, receipts <-chan *nats.Msg, window int, turn func()) {
	t.Helper()
	collector := key("collector").Public().(ed25519.PublicKey)
	byID := map[string]*sender{}
	for _, s := range senders {
		byID[wire.ReceiptSubject(s.host.id)] = s
	}
	deadline := time.Now().Add(3 * time.Minute)
	for open := len(senders); open > 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not done after three minutes: %d hosts open", open)
		}
		for len(receipts) > 0 {
			m := <-receipts
			if err := byID[m.Subject].receipt(collector, m.Data); err != nil {
				t.Fatal(err)
			}
		}
		open = 0
		for _, s := range senders {
			if s.done < len(s.envelopes) {
				open++
			}
			if err := s.push(conn, window, 300*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		turn()
	}
}

func hear(t *testing.T, conn *nats.Conn, senders []*sender) <-chan *nats.Msg {
	t.Helper()
	receipts := make(chan *nats.Msg, 1<<14)
	for _, s := range senders {
		if _, err := conn.ChanSubscribe(wire.ReceiptSubject(s.host.id), receipts); err != nil {
			t.Fatal(err)
		}
	}
	return receipts
}

// Two ingests of one process on one store: the one that took the partition last
// counts, and the other one is refused and stores nothing more.
func TestTwoIngestsNeverCountOnePartition(t *testing.T) {
	dir := t.TempDir()
	b, s := startBroker(t), openStore(t, dir)
	senders := feed(t, 4, 60)
	receipts := hear(t, b.Conn(), senders)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ended [2]chan error
	start := func(i int) {
		in, err := New(Config{Store: s, Conn: b.Conn(), Key: key("collector"), Collector: "c", Owner: fmt.Sprint("owner ", i), Interval: 5 * time.Millisecond, MaxAhead: -1})
		if err != nil {
			t.Fatal(err)
		}
		ended[i] = make(chan error, 1)
		go func() { ended[i] <- in.Run(ctx) }()
	}
	start(0)
	turns := 0
	deliver(t, b.Conn(), senders, receipts, 3, func() {
		if turns++; turns == 20 {
			start(1)
		}
	})
	select {
	case err := <-ended[0]:
		if !errors.Is(err, store.ErrLost) {
			t.Errorf("the first ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("two ingests count one partition")
	}
	cancel()
	if err := errors.Join(<-ended[1], s.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, dir), dump(t, calmly(t, senders)); !slices.Equal(got, want) {
		t.Error("the ledger is not what one ingest alone makes of the batches")
	}
	checkTerms(t, dir)
}

// checkTerms expects that no two terms of a partition overlap, and that they hold
// each batch once.
func checkTerms(t *testing.T, dir string) {
	t.Helper()
	bad := rows(t, dir, `SELECT concat_ws(' ', 'partition', a.no, 'fences', a.fence, b.fence) FROM partition_term a JOIN partition_term b ON b.no = a.no AND b.fence > a.fence
		WHERE a.checkpoints > 0 AND b.checkpoints > 0 AND b.first_revision <= a.last_revision`)
	sums := rows(t, dir, "SELECT concat_ws(' ', (SELECT sum(batches) FROM partition_term), (SELECT sum(batches) FROM host), (SELECT value FROM meta WHERE key = 'batches'))")
	var terms, hosts, counted int64
	if _, err := fmt.Sscan(sums[0], &terms, &hosts, &counted); err != nil || terms != counted || hosts != counted || len(bad) > 0 {
		t.Errorf("batches by terms, hosts and in all: %s; overlaps: %v; %v", sums[0], bad, err)
	}
}

// collectorOf is what one collector runs: an ingest for each partition.
type collectorOf struct {
	ins  []*Ingest
	stop func() error
}

func startShared(t *testing.T, b *broker.Broker, s *store.Store, owner string, of int) *collectorOf {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	c := &collectorOf{}
	errs := make([]error, of)
	for no := range of {
		in, err := New(Config{Store: s, Conn: b.Conn(), Key: key("collector"), Collector: "c", Owner: owner, Interval: 10 * time.Millisecond, MaxAhead: -1,
			Partition: ledger.Partition{No: no, Of: of}})
		if err != nil {
			t.Fatal(err)
		}
		c.ins = append(c.ins, in)
		running.Go(func() { errs[no] = in.Run(ctx) })
		in.Want(true)
	}
	c.stop = func() error {
		cancel()
		running.Wait()
		return errors.Join(errs...)
	}
	return c
}

// Collectors that stand by for partitions share them, take them over from each
// other, lose them to each other in the middle, and are told of allocations; in the
// end each batch is counted once, as one collector alone would have counted it.
func TestPartitionsAreSharedAndTakenOver(t *testing.T) {
	const of = 4
	dir := t.TempDir()
	b, err := broker.Start(t.Context(), broker.Options{Dir: filepath.Join(dir, "broker"), MaxPerHost: 1 << 20, Partitions: of})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	if n, err := s.Divide(t.Context(), of, 1); err != nil || n != of {
		t.Fatalf("%d partitions, %v", n, err)
	}
	senders := feed(t, 12, 80)
	receipts := hear(t, b.Conn(), senders)
	all := []*collectorOf{startShared(t, b, s, "one", of), startShared(t, b, s, "two", of), startShared(t, b, s, "three", of)}
	rng := rand.New(rand.NewPCG(1, 2))
	next, made := time.Now().Add(500*time.Millisecond), 0
	deliver(t, b.Conn(), senders, receipts, 2, func() {
		if time.Now().Before(next) || made >= 12 {
			return
		}
		next = time.Now().Add(time.Duration(300+rng.IntN(500)) * time.Millisecond)
		switch made++; made % 4 {
		case 0: // one ends and another one comes
			i := rng.IntN(len(all))
			if err := all[i].stop(); err != nil {
				t.Fatal(err)
			}
			all[i] = startShared(t, b, s, fmt.Sprint("later ", made), of)
		case 1, 3: // a stranger takes a partition, as after a pause that was too long
			if _, err := s.Take(t.Context(), ledger.Partition{No: rng.IntN(of), Of: of}, "stranger"); err != nil {
				t.Fatal(err)
			}
		case 2:
			if _, err := all[0].ins[0].PutAllocations(t.Context(), []allocation.Allocation{{ID: fmt.Sprint(made), Host: "elsewhere", Tenant: "t", FromNS: 1}}, false); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, c := range all {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(b.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, dir), dump(t, calmly(t, senders)); !slices.Equal(got, want) {
		t.Errorf("the ledger is not what one collector alone makes of the batches: %d rows, want %d", len(got), len(want))
	}
	checkEvidence(t, dir, senders)
	checkTerms(t, dir)
	t.Logf("%d disturbances; terms: %v", made, rows(t, dir, "SELECT concat_ws(' ', no, fence, owner, checkpoints, batches) FROM partition_term ORDER BY no, fence"))
}

// Who took a partition and then does nothing, as a collector that woke from a pause
// with a message in its hand, does not keep the one to whom the broker sends from
// counting for long.
func TestPartitionIsTakenBack(t *testing.T) {
	const of = 2
	dir := t.TempDir()
	b, err := broker.Start(t.Context(), broker.Options{Dir: filepath.Join(dir, "broker"), MaxPerHost: 1 << 20, Partitions: of})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	if _, err := s.Divide(t.Context(), of, 1); err != nil {
		t.Fatal(err)
	}
	senders := feed(t, 6, 40)
	receipts := hear(t, b.Conn(), senders)
	c := startShared(t, b, s, "one", of)
	turns := 0
	deliver(t, b.Conn(), senders, receipts, 2, func() {
		if turns++; turns%40 != 0 || turns > 160 {
			return
		}
		for no := range of {
			if _, err := s.Take(t.Context(), ledger.Partition{No: no, Of: of}, "stranger"); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := errors.Join(c.stop(), b.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, dir), dump(t, calmly(t, senders)); !slices.Equal(got, want) {
		t.Errorf("the ledger is not what one collector alone makes of the batches: %d rows, want %d", len(got), len(want))
	}
	checkTerms(t, dir)
}

// A collector that was told another number of partitions does not count.
func TestDividedOtherwise(t *testing.T) {
	s := openStore(t, t.TempDir())
	defer func() { _ = s.Close() }()
	if _, err := s.Divide(t.Context(), 4, 1); err != nil {
		t.Fatal(err)
	}
	lease, err := s.Take(t.Context(), ledger.Partition{No: 1, Of: 4}, "one")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Divide(t.Context(), 0, 1); err != nil || n != 4 {
		t.Errorf("%d partitions, %v", n, err)
	}
	if _, err := s.Divide(t.Context(), 8, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), lease); !errors.Is(err, store.ErrLost) {
		t.Errorf("renewed: %v", err)
	}
	if _, err := s.Take(t.Context(), ledger.Partition{No: 1, Of: 4}, "one"); !errors.Is(err, store.ErrDivided) {
		t.Errorf("taken: %v", err)
	}
	again, err := s.Take(t.Context(), ledger.Partition{No: 1, Of: 8}, "one")
	if err != nil || again.Fence <= lease.Fence {
		t.Errorf("fence %d after %d, %v", again.Fence, lease.Fence, err)
	}
}
