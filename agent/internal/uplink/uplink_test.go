package uplink

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/natstest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const slot = int64(10 * time.Second)

// window is the i-th window of the test's only device.
func window(i int) measure.Window {
	start := 1_700_000_000_000_000_000 + int64(i)*slot
	return measure.Window{Device: "GPU-1", StartNS: start, EndNS: start + slot, Entries: []measure.Entry{{
		State: measure.Idle, Method: measure.Method{Name: measure.NoMethod}, Duration: time.Duration(slot), EnergyMJ: int64(i),
	}}}
}

var rows = []wire.DeviceRow{{Device: measure.Device{ID: "GPU-1", Name: "Test"}, SKU: "test", Grade: "A", Peak: 1, Ceiling: 2}}

func hostNumber(name string) (n int) {
	if _, err := fmt.Sscanf(name, "host%d", &n); err != nil {
		panic(err)
	}
	return n
}

func idOf(n int) string { return attest.HostID(key(n).Public().(ed25519.PublicKey)) }

func openBox(t testing.TB, dir string, so spool.Options) *outbox.Outbox {
	t.Helper()
	box, err := outbox.Open(dir, outbox.Options{
		KeyFor:       func(name string) (ed25519.PrivateKey, error) { return key(hostNumber(name)), nil },
		AgentVersion: "test", BatchSpan: 2 * time.Duration(slot), Spool: so,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() }) // closing twice is allowed
	return box
}

func openLane(t testing.TB, box *outbox.Outbox, n int) *outbox.Lane {
	t.Helper()
	l, err := box.Open(fmt.Sprintf("host%d", n), wire.HostFacts{Name: fmt.Sprintf("host%d", n), OS: "linux", Kernel: "6.1"}, "boot", rows)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running is an uplink whose Run is under way.
type running struct {
	*Uplink
	cancel context.CancelFunc
	err    chan error
}

func start(t testing.TB, s *spool.Spool, o Options) *running {
	t.Helper()
	if o.RetryAfter == 0 {
		o.RetryAfter = 60 * time.Millisecond
	}
	u, err := New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{u, cancel, make(chan error, 1)}
	go func() { r.err <- u.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-u.ended })
	return r
}

func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	if err := <-r.err; err != nil {
		t.Fatal(err)
	}
}

func (r *running) drain(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Drain(ctx); err != nil {
		t.Fatalf("%v (run: %v, %+v)", err, len(r.err), r.Stats())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestShipsInOrderAndReleases(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	dir := t.TempDir()
	box := openBox(t, dir, spool.Options{SegmentBytes: 4 << 10})
	u := start(t, box.Spool(), Options{URL: url})
	lanes := []*outbox.Lane{openLane(t, box, 1), openLane(t, box, 2)}
	var want []measure.Window
	for i := range 100 {
		want = append(want, window(i))
		for _, l := range lanes {
			must(t, l.Put([]measure.Window{window(i)}))
		}
		must(t, box.Sync(context.Background()))
	}
	for _, l := range lanes {
		must(t, l.Close())
	}
	must(t, box.Sync(context.Background()))
	u.drain(t)
	for n := 1; n <= 2; n++ {
		if diff := cmp.Diff(want, c.counted(idOf(n))); diff != "" {
			t.Errorf("host %d (-put +counted):\n%s", n, diff)
		}
	}
	if st := u.Stats(); st.Waiting != 0 || !st.CollectorPinned || st.Sent < 100 {
		t.Errorf("stats %+v", st)
	}
	if n := box.Spool().Bytes(); n > 8<<10 {
		t.Errorf("%d bytes stay in the spool after all receipts", n)
	}
	c.check(t)
	u.stop(t)
}

func TestNothingIsSentBeforeSync(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	box := openBox(t, t.TempDir(), spool.Options{})
	u := start(t, box.Spool(), Options{URL: url})
	l := openLane(t, box, 1)
	u.drain(t) // connected or not, the loop runs
	for i := range 8 {
		must(t, l.Put([]measure.Window{window(i)}))
	}
	time.Sleep(200 * time.Millisecond)
	c.mu.Lock()
	heard := c.heard
	c.mu.Unlock()
	if heard != 0 {
		t.Fatalf("%d batches were sent before Sync", heard)
	}
	must(t, box.Sync(context.Background()))
	u.drain(t)
	if got := len(c.counted(idOf(1))); got != 8 {
		t.Fatalf("%d windows counted after Sync, want 8", got)
	}
	u.stop(t)
}

// TestKillAndReopen puts windows over many lives that end without a warning,
// against a collector that loses and delays, and wants every window counted once.
func TestKillAndReopen(t *testing.T) {
	url := natstest.Run(t)
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCollector(t, url)
			c.lose, c.late = 0.15, 0.3
			rng := rand.New(rand.NewPCG(seed, 7))
			dir := t.TempDir()
			const hosts, windows = 3, 60
			base := int(seed)*10 + 1
			for life, done := 0, false; !done; life++ {
				box := openBox(t, dir, spool.Options{SegmentBytes: 3 << 10, MaxBytes: 64 << 10})
				if lost := box.Spool().Recovery().Lost; len(lost) > 0 {
					t.Fatalf("life %d: %v", life, lost)
				}
				u := start(t, box.Spool(), Options{URL: url})
				at, lanes := make([]int, hosts), make([]*outbox.Lane, hosts)
				for h := range hosts {
					lanes[h] = openLane(t, box, base+h)
					if ns := lanes[h].ResumeNS(); ns > 0 {
						at[h] = int((ns - window(0).StartNS) / slot)
					}
				}
				steps := rng.IntN(60) + 20
				for range steps {
					h := rng.IntN(hosts)
					if at[h] < windows {
						must(t, lanes[h].Put([]measure.Window{window(at[h])}))
						at[h]++
					}
					if rng.IntN(3) == 0 {
						must(t, box.Sync(context.Background()))
						time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond)
					}
				}
				done = life > 3 && slices.Min(at) == windows
				if done {
					for _, l := range lanes {
						must(t, l.Close())
					}
					must(t, box.Sync(context.Background()))
					c.mu.Lock()
					c.lose = 0
					c.mu.Unlock()
					u.drain(t)
				}
				u.stop(t)
				must(t, box.Close())
				if life > 200 {
					t.Fatal("no end")
				}
			}
			var want []measure.Window
			for i := range windows {
				want = append(want, window(i))
			}
			for h := range hosts {
				if diff := cmp.Diff(want, c.counted(idOf(base+h))); diff != "" {
					t.Errorf("host %d (-put +counted):\n%s", h, diff)
				}
			}
			c.check(t)
		})
	}
}

// TestEpochWaitsForTheOneBefore loses the last batch of an epoch and makes sure
// that the next epoch does not overtake it.
func TestEpochWaitsForTheOneBefore(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	c.lose = 1
	dir := t.TempDir()
	box := openBox(t, dir, spool.Options{})
	for i := range 3 { // three epochs of two batches
		l := openLane(t, box, 1)
		for j := range 4 {
			must(t, l.Put([]measure.Window{window(i*4 + j)}))
		}
		must(t, l.Close())
	}
	must(t, box.Sync(context.Background()))
	c.onArrival = func(_ string, m spool.Mark) {
		if m.Epoch > c.at[idOf(1)].mark.Epoch+1 {
			c.faults = append(c.faults, fmt.Sprintf("epoch %d came while at %v", m.Epoch, c.at[idOf(1)].mark))
		}
		if c.heard > 8 {
			c.lose = 0
		}
	}
	u := start(t, box.Spool(), Options{URL: url})
	u.drain(t)
	if got := len(c.counted(idOf(1))); got != 12 {
		t.Fatalf("%d windows counted, want 12", got)
	}
	c.check(t)
	u.stop(t)
}

// TestRestoredCollector gets the same windows again after it forgot them.
func TestRestoredCollector(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	box := openBox(t, t.TempDir(), spool.Options{SegmentBytes: 2 << 10, RetainBytes: 1 << 20})
	u := start(t, box.Spool(), Options{URL: url})
	l := openLane(t, box, 1)
	put := func(from, to int) {
		for i := from; i < to; i++ {
			must(t, l.Put([]measure.Window{window(i)}))
		}
		must(t, box.Sync(context.Background()))
		u.drain(t)
	}
	put(0, 8)
	c.mu.Lock()
	at, windows := c.at[idOf(1)], slices.Clone(c.windows[idOf(1)])
	c.mu.Unlock()
	put(8, 40)
	c.mu.Lock()
	c.at[idOf(1)], c.windows[idOf(1)] = at, windows
	c.mu.Unlock()
	put(40, 44)
	var want []measure.Window
	for i := range 44 {
		want = append(want, window(i))
	}
	if diff := cmp.Diff(want, c.counted(idOf(1))); diff != "" {
		t.Fatalf("(-put +counted):\n%s", diff)
	}
	if u.Stats().Rewinds == 0 {
		t.Fatal("no rewind was counted")
	}
	u.stop(t)
}

func TestStopsLoudly(t *testing.T) {
	// The receipt that follows the first true one.
	for name, tc := range map[string]struct {
		change func(c *collector, p position) (ed25519.PrivateKey, position)
		want   error
	}{
		"another hash": {func(c *collector, p position) (ed25519.PrivateKey, position) {
			p.hash[3] ^= 1
			return c.key, p
		}, ErrForeignReceipt},
		"never produced": {func(c *collector, p position) (ed25519.PrivateKey, position) {
			p.mark.Seq += 50
			return c.key, p
		}, ErrForeignReceipt},
		"later epoch": {func(c *collector, p position) (ed25519.PrivateKey, position) {
			p.mark.Epoch += 5
			return c.key, p
		}, ErrForeignReceipt},
		"another collector": {func(_ *collector, p position) (ed25519.PrivateKey, position) {
			p.hash[3] ^= 1 // would stop the uplink if it were looked at
			return key(201), p
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			url := natstest.Run(t)
			c := newCollector(t, url)
			box := openBox(t, t.TempDir(), spool.Options{})
			u := start(t, box.Spool(), Options{URL: url})
			l := openLane(t, box, 1)
			for i := range 4 {
				must(t, l.Put([]measure.Window{window(i)}))
			}
			must(t, box.Sync(context.Background()))
			u.drain(t)
			k, p := tc.change(c, c.at[idOf(1)])
			must(t, c.nc.Publish(wire.ReceiptSubject(idOf(1)), receiptOf(t, k, idOf(1), p)))
			must(t, c.nc.Publish(wire.ReceiptSubject(idOf(1)), []byte("not a receipt")))
			if tc.want != nil {
				select {
				case err := <-u.err:
					if !errors.Is(err, tc.want) {
						t.Fatalf("run ended with %v, want %v", err, tc.want)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("the uplink goes on")
				}
				if err := u.Drain(context.Background()); !errors.Is(err, ErrStopped) {
					t.Fatalf("drain after the end: %v", err)
				}
				return
			}
			for deadline := time.Now().Add(30 * time.Second); u.Stats().RefusedReceipts < 2; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("refused receipts: %+v", u.Stats())
				}
			}
			u.stop(t)
		})
	}
}

func TestPinnedCollectorOutlivesRestart(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	dir := t.TempDir()
	box := openBox(t, dir, spool.Options{})
	u := start(t, box.Spool(), Options{URL: url})
	l := openLane(t, box, 1)
	must(t, l.Put([]measure.Window{window(0), window(1)}))
	must(t, box.Sync(context.Background()))
	u.drain(t)
	u.stop(t)
	c.mu.Lock()
	c.key = key(201)
	c.mu.Unlock()
	must(t, l.Put([]measure.Window{window(2), window(3)}))
	must(t, box.Sync(context.Background()))
	u = start(t, box.Spool(), Options{URL: url})
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := u.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("drain with receipts of another collector: %v", err)
	}
	if u.Stats().RefusedReceipts == 0 {
		t.Fatal("no receipt was refused")
	}
	u.stop(t)
}

// TestCollectorBehindSpool loses what the collector needs and wants to hear of it.
func TestCollectorBehindSpool(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	box := openBox(t, t.TempDir(), spool.Options{SegmentBytes: 600})
	u := start(t, box.Spool(), Options{URL: url})
	l := openLane(t, box, 1)
	for i := range 20 {
		must(t, l.Put([]measure.Window{window(i)}))
	}
	must(t, box.Sync(context.Background()))
	u.drain(t)
	c.mu.Lock()
	c.at[idOf(1)] = position{}
	c.mu.Unlock()
	must(t, l.Put([]measure.Window{window(20), window(21)}))
	must(t, box.Sync(context.Background()))
	select {
	case err := <-u.err:
		if !errors.Is(err, ErrBehindSpool) || !strings.Contains(err.Error(), idOf(1)) {
			t.Fatalf("run ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the uplink goes on")
	}
}

// TestGivenUpEpochIsFollowedByANewOne is the same with a caller that handles it.
func TestGivenUpEpochIsFollowedByANewOne(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	box := openBox(t, t.TempDir(), spool.Options{SegmentBytes: 600})
	lost := make(chan spool.LostRange, 100)
	u := start(t, box.Spool(), Options{URL: url, OnLost: func(l spool.LostRange) {
		box.Renew(l.Host, l.To.Epoch)
		lost <- l
	}})
	l := openLane(t, box, 1)
	for i := range 20 {
		must(t, l.Put([]measure.Window{window(i)}))
	}
	must(t, box.Sync(context.Background()))
	u.drain(t)
	c.mu.Lock()
	c.at[idOf(1)] = position{}
	c.chainFree = true
	c.mu.Unlock()
	must(t, l.Put([]measure.Window{window(20), window(21)}))
	must(t, box.Sync(context.Background()))
	select {
	case got := <-lost:
		if got.Host != idOf(1) || got.To.Epoch != 1 {
			t.Fatalf("lost %v", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nobody heard of the loss")
	}
	must(t, l.Put([]measure.Window{window(22), window(23)}))
	must(t, box.Sync(context.Background()))
	u.drain(t)
	got := c.counted(idOf(1))
	if diff := cmp.Diff([]measure.Window{window(22), window(23)}, got[len(got)-2:]); diff != "" {
		t.Fatalf("after the loss (-want +got):\n%s", diff)
	}
	if u.Stats().LostBatches == 0 {
		t.Fatal("the loss is not counted")
	}
	u.stop(t)
}

// TestCutConnections breaks the connection at random bytes while shipping.
func TestCutConnections(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	p := newProxy(t, strings.TrimPrefix(url, "nats://"))
	box := openBox(t, t.TempDir(), spool.Options{})
	u := start(t, box.Spool(), Options{URL: p.url(), WindowBatches: 8, NATS: []nats.Option{
		nats.ReconnectWait(5 * time.Millisecond), nats.ReconnectJitter(time.Millisecond, time.Millisecond),
	}})
	l := openLane(t, box, 1)
	var want []measure.Window
	for i := range 400 {
		want = append(want, window(i))
		must(t, l.Put(want[i:]))
		if i%4 == 0 {
			must(t, box.Sync(context.Background()))
			time.Sleep(time.Millisecond)
		}
	}
	must(t, l.Close())
	must(t, box.Sync(context.Background()))
	u.drain(t)
	if diff := cmp.Diff(want, c.counted(idOf(1))); diff != "" {
		t.Fatalf("(-put +counted):\n%s", diff)
	}
	if st := u.Stats(); st.Reconnects < 2 {
		t.Fatalf("the connection was not cut: %+v", st)
	}
	c.check(t)
	u.stop(t)
}

func BenchmarkShip(b *testing.B) {
	url := natstest.Run(b)
	c := newCollector(b, url)
	c.keep = false
	box := openBox(b, b.TempDir(), spool.Options{MaxBytes: 4 << 30})
	u := start(b, box.Spool(), Options{URL: url, RetryAfter: 3 * time.Second})
	l := openLane(b, box, 1)
	var windows []measure.Window
	for i := range 60 {
		windows = append(windows, window(i))
	}
	const batches = 1000
	for b.Loop() {
		for range batches {
			must(b, l.Put(windows))
		}
		must(b, box.Sync(context.Background()))
		u.drain(b)
	}
	b.ReportMetric(float64(batches*b.N)/b.Elapsed().Seconds(), "batches/s")
	u.stop(b)
}

func TestForbiddenSubjectIsAnError(t *testing.T) {
	url := natstest.Run(t)
	box := openBox(t, t.TempDir(), spool.Options{})
	u := start(t, box.Spool(), Options{URL: url, NATS: []nats.Option{nats.MaxReconnects(-1)}})
	select {
	case u.events <- event{kind: refused, err: nats.ErrPermissionViolation}:
	case <-time.After(30 * time.Second):
		t.Fatal("the loop does not listen")
	}
	if err := <-u.err; !errors.Is(err, ErrRefused) {
		t.Fatalf("run ended with %v, want ErrRefused", err)
	}
}
